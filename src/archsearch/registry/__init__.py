"""MLflow's model registry: models, versions, aliases."""
