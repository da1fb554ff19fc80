BEGIN TRANSACTION;
CREATE TABLE attempts (
	search_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	ended VARCHAR(20), 
	reason TEXT, 
	created_ms BIGINT NOT NULL, 
	PRIMARY KEY (search_id, number, attempt), 
	FOREIGN KEY(search_id) REFERENCES searches (id)
);
INSERT INTO "attempts" VALUES(1,0,1,'finished','trained for all 3 epochs',1795336490584);
INSERT INTO "attempts" VALUES(1,1,1,'finished','trained for all 3 epochs',1795336508195);
INSERT INTO "attempts" VALUES(1,2,1,'finished','0.2778 was number 3 of 3 after epoch 1, where the best 1 went on',1795336513615);
INSERT INTO "attempts" VALUES(1,3,1,'finished','0.3542 was number 3 of 4 after epoch 1, where the best 2 went on',1795336516994);
INSERT INTO "attempts" VALUES(1,4,1,'finished','trained for all 3 epochs',1795336519278);
CREATE TABLE epochs (
	sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	search_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	result JSON NOT NULL, 
	val_accuracy FLOAT, 
	checkpoint TEXT, 
	checksum VARCHAR(64), 
	created_ms BIGINT NOT NULL, 
	UNIQUE (search_id, number, epoch), 
	FOREIGN KEY(search_id) REFERENCES searches (id)
);
INSERT INTO "epochs" VALUES(1,1,0,1,1,'{"epoch": 1, "train_loss": 2.1117513320025276, "train_accuracy": 0.296875, "val_loss": 1.7863589525222778, "val_accuracy": 0.3645833333333333, "learning_rate": 0.08296729075500345, "images": 1088, "train_seconds": 2.2140964830032317, "val_seconds": 0.09635767399595352, "micro_batch": 64, "diverged": false, "reason": null}',3.64583333333333314829e-01,'e0001-a1.ckpt','f21a83427f568ae529c56461cd312de0cfa74b73411d2fd75d4763980c8ba7b7',1795336510645);
INSERT INTO "epochs" VALUES(2,1,0,2,1,'{"epoch": 2, "train_loss": 1.218468946569106, "train_accuracy": 0.6534926470588235, "val_loss": 1.0405240058898926, "val_accuracy": 0.6284722222222222, "learning_rate": 0.030865828381745515, "images": 1088, "train_seconds": 1.7785251759996754, "val_seconds": 0.03929441299987957, "micro_batch": 64, "diverged": false, "reason": null}',6.28472222222222209886e-01,'e0002-a1.ckpt','ed3a99043692b4b131c2f67527670dfcc28eb7775f12ff6ad08da93ce510148c',1795336512515);
INSERT INTO "epochs" VALUES(3,1,0,3,1,'{"epoch": 3, "train_loss": 0.762915106380687, "train_accuracy": 0.8042279411764706, "val_loss": 0.4713209867477417, "val_accuracy": 0.9027777777777778, "learning_rate": 0.00010705383806982605, "images": 1088, "train_seconds": 0.8988244199936162, "val_seconds": 0.08889807500236202, "micro_batch": 64, "diverged": false, "reason": null}',9.02777777777777790113e-01,'e0003-a1.ckpt','1c90cdcf13eba92448b1817ac3f780c0b8716e4342ff436ef35326baf63586f5',1795336513549);
INSERT INTO "epochs" VALUES(4,1,1,1,1,'{"epoch": 1, "train_loss": 2.147225772633272, "train_accuracy": 0.27481617647058826, "val_loss": 1.8310205936431885, "val_accuracy": 0.6944444444444444, "learning_rate": 0.06110568683657756, "images": 1088, "train_seconds": 1.1942287670026417, "val_seconds": 0.008816086003207602, "micro_batch": 64, "diverged": false, "reason": null}',6.94444444444444419772e-01,'e0001-a1.ckpt','bcb58c03013a0f147fb6e5160540988626cbfa2d3086d2e21404aa3e19b2aefa',1795336514885);
INSERT INTO "epochs" VALUES(5,1,1,2,1,'{"epoch": 2, "train_loss": 1.3739549973431755, "train_accuracy": 0.6387867647058824, "val_loss": 0.7526223659515381, "val_accuracy": 0.8055555555555556, "learning_rate": 0.022732785726557504, "images": 1088, "train_seconds": 0.7946826269981102, "val_seconds": 0.011387299004127271, "micro_batch": 64, "diverged": false, "reason": null}',8.05555555555555580227e-01,'e0002-a1.ckpt','a6fa2c8f250e5ccd79fc06191e0bdc706391c068ec48298f117bf6cb304e28a3',1795336515733);
INSERT INTO "epochs" VALUES(6,1,1,3,1,'{"epoch": 3, "train_loss": 0.9194063298842486, "train_accuracy": 0.7610294117647058, "val_loss": 0.5654593706130981, "val_accuracy": 0.8645833333333334, "learning_rate": 7.884550940762129e-05, "images": 1088, "train_seconds": 1.1049419660048443, "val_seconds": 0.07283505599480122, "micro_batch": 64, "diverged": false, "reason": null}',8.6458333333333337034e-01,'e0003-a1.ckpt','8731d1c1412c1d2142e09e7ba43e17c1a12c91425e283e345670dbb8037de87c',1795336516968);
INSERT INTO "epochs" VALUES(7,1,2,1,1,'{"epoch": 1, "train_loss": 2.067804224350873, "train_accuracy": 0.28952205882352944, "val_loss": 1.957620620727539, "val_accuracy": 0.2777777777777778, "learning_rate": 0.09972819655870915, "images": 1088, "train_seconds": 0.9734293059955235, "val_seconds": 0.01888943100493634, "micro_batch": 64, "diverged": false, "reason": null}',2.77777777777777790113e-01,'e0001-a1.ckpt','8c851e3eca1cd365007af91c9ddb2817fead9692115317c068ea1a43afc3a84e',1795336518061);
INSERT INTO "epochs" VALUES(8,1,3,1,1,'{"epoch": 1, "train_loss": 1.9940086813534008, "train_accuracy": 0.3290441176470588, "val_loss": 2.053544521331787, "val_accuracy": 0.3541666666666667, "learning_rate": 0.09968208173510623, "images": 1088, "train_seconds": 0.903010706002533, "val_seconds": 0.06871988200146006, "micro_batch": 64, "diverged": false, "reason": null}',3.5416666666666668517e-01,'e0001-a1.ckpt','8df2151814b3d77c9f03ffa0a937707185544d423fd6e0228804fe92352b54bb',1795336519274);
INSERT INTO "epochs" VALUES(9,1,4,1,1,'{"epoch": 1, "train_loss": 2.110808428596048, "train_accuracy": 0.2711397058823529, "val_loss": 1.724217414855957, "val_accuracy": 0.3993055555555556, "learning_rate": 0.08296729075500345, "images": 1088, "train_seconds": 1.0023269269950106, "val_seconds": 0.0128745149995666, "micro_batch": 64, "diverged": false, "reason": null}',3.99305555555555580227e-01,'e0001-a1.ckpt','f9afde10f284548e4cce8095055701a01d16037e4420df016139bbdc5bc76650',1795336520417);
INSERT INTO "epochs" VALUES(10,1,4,2,1,'{"epoch": 2, "train_loss": 1.203573226928711, "train_accuracy": 0.6525735294117647, "val_loss": 0.8411710262298584, "val_accuracy": 0.7222222222222222, "learning_rate": 0.030865828381745515, "images": 1088, "train_seconds": 1.4968532409984618, "val_seconds": 0.03182361100334674, "micro_batch": 64, "diverged": false, "reason": null}',7.22222222222222209886e-01,'e0002-a1.ckpt','35bb9e2af891f4369666b51ba1a14fa8876558eca716b7e54811b76857b193ff',1795336522021);
INSERT INTO "epochs" VALUES(11,1,4,3,1,'{"epoch": 3, "train_loss": 0.8069515789256376, "train_accuracy": 0.765625, "val_loss": 0.5163767337799072, "val_accuracy": 0.8611111111111112, "learning_rate": 0.00010705383806982605, "images": 1088, "train_seconds": 0.8409081270001479, "val_seconds": 0.11224999900150578, "micro_batch": 64, "diverged": false, "reason": null}',8.61111111111111160454e-01,'e0003-a1.ckpt','7435147492661eb7ec9de7d05b379dc2dddd546c659077ef4ac70123a23ea672',1795336523069);
CREATE TABLE outbox (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	search_id INTEGER NOT NULL, 
	kind VARCHAR(40) NOT NULL, 
	number INTEGER, 
	payload JSON NOT NULL, 
	created_ms BIGINT NOT NULL, 
	delivered BOOLEAN NOT NULL, 
	parked TEXT, 
	FOREIGN KEY(search_id) REFERENCES searches (id)
);
INSERT INTO "outbox" VALUES(1,1,'search_started',NULL,'{"name": "old", "uuid": "4a908445c95245038f217936dd1a3b54", "space_name": "smoke", "space": {"name": "smoke", "description": "Does everything work?", "families": {"resnet": {"depth": {"int": [8, 14], "step": 6}, "activation_order": {"choice": ["post", "pre"]}}, "wrn": {"depth": 10, "widen_factor": {"choice": [1, 2]}}}, "training": {"learning_rate": {"float": [0.05, 0.2], "log": true}, "batch_size": 64}, "fidelity": {"max_epochs": 3, "grace_period_epochs": 1, "reduction_factor": 3}, "constraints": {"max_params": 1000000, "max_macs": null, "max_memory_mib": null}, "baselines": ["WRN-10-1"], "objective": "val_accuracy"}, "data": {"name": "digits", "num_classes": 10, "in_channels": 1, "image_size": 8, "class_names": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"], "num_train": 1150, "num_val": 288, "num_test": 359, "train_size": null, "mean": [0.30485640451832907], "std": [0.3757721962659481], "digest": "58bb98f54e858b34c4b0e2353b8580c895e0fe127e46a34a9322430ac0e016f4", "split_digest": "cf35bfdd94e098275ff989034fe393614f09cccbb7687073ab9beaf051890e96", "flip": false, "multi_label": false}, "identity": {"space": "5e3f9693562943f5b6fcb336e899611ba9ab9c2906517f01505cfc313ee47575", "data": "58bb98f54e858b34c4b0e2353b8580c895e0fe127e46a34a9322430ac0e016f4", "split": "cf35bfdd94e098275ff989034fe393614f09cccbb7687073ab9beaf051890e96", "train_size": null, "seed": 0, "max_epochs": 3, "objective": "val_accuracy"}, "settings": {"space": "smoke", "data": {"name": "digits", "path": "/home/somebody/runs/data/digits-8.arrow", "num_classes": 10, "in_channels": 1, "image_size": 8, "class_names": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"], "num_train": 1150, "num_val": 288, "num_test": 359, "train_size": null, "mean": [0.30485640451832907], "std": [0.3757721962659481], "digest": "58bb98f54e858b34c4b0e2353b8580c895e0fe127e46a34a9322430ac0e016f4", "split_digest": "cf35bfdd94e098275ff989034fe393614f09cccbb7687073ab9beaf051890e96", "flip": false, "multi_label": false}, "data_dir": null, "train_size": null, "image_size": null, "seed": 0, "trials": 4, "more_trials": null, "time_budget_seconds": null, "concurrency": null, "cpus_per_trial": 1, "gpus_per_trial": null, "max_epochs": null, "max_params": null, "max_macs": "default", "retry_memory": false, "random_share": 0.1, "confirm": "1x1", "hang_seconds": 300.0, "name": "old", "runs_dir": "runs", "address": null, "rungs": [1], "tracking_uri": null}, "tags": {"archsearch_version": "0.1.0", "git_commit": "9f667951c923d1645d2bf4595632642b9a42593f"}}',1795336465590,1,NULL);
INSERT INTO "outbox" VALUES(2,1,'trial_started',0,'{"family": "wrn", "name": "WRN-10-1", "arm": "baseline", "params": {"family": "wrn", "wrn/widen_factor": 1, "training/learning_rate": 0.1}, "config": {"architecture": {"family": "wrn", "depth": 10, "widen_factor": 1, "block": "B(3,3)", "deepening_factor": 2, "dropout": 0.0}, "recipe": {"learning_rate": 0.1, "head_learning_rate_factor": 1.0, "weight_decay": 0.0005, "batch_size": 64, "label_smoothing": 0.0, "augmentation": 0.5, "momentum": 0.9, "warmup_fraction": 0.05}, "input": {"in_channels": 1, "image_size": 8, "num_classes": 10}, "max_epochs": 3, "seed": 3451003037}, "complexity": {"params": 77562, "macs": 763520, "activations": 5386}}',1795336490584,1,NULL);
INSERT INTO "outbox" VALUES(3,1,'trial_started',1,'{"family": "wrn", "name": "WRN-10-1", "arm": "random", "params": {"family": "wrn", "wrn/widen_factor": 1, "training/learning_rate": 0.07365033410216845}, "config": {"architecture": {"family": "wrn", "depth": 10, "widen_factor": 1, "block": "B(3,3)", "deepening_factor": 2, "dropout": 0.0}, "recipe": {"learning_rate": 0.07365033410216845, "head_learning_rate_factor": 1.0, "weight_decay": 0.0005, "batch_size": 64, "label_smoothing": 0.0, "augmentation": 0.5, "momentum": 0.9, "warmup_fraction": 0.05}, "input": {"in_channels": 1, "image_size": 8, "num_classes": 10}, "max_epochs": 3, "seed": 2043471749}, "complexity": {"params": 77562, "macs": 763520, "activations": 5386}}',1795336508196,1,NULL);
INSERT INTO "outbox" VALUES(4,1,'epoch',0,'{"epoch": 1, "result": {"epoch": 1, "train_loss": 2.1117513320025276, "train_accuracy": 0.296875, "val_loss": 1.7863589525222778, "val_accuracy": 0.3645833333333333, "learning_rate": 0.08296729075500345, "images": 1088, "train_seconds": 2.2140964830032317, "val_seconds": 0.09635767399595352, "micro_batch": 64, "diverged": false, "reason": null}, "load": {"worker": "node-1/11585", "cpu_percent": 100.0, "memory_percent": 28.1, "worker_memory_mib": 726.16015625, "gpu_percent": null, "gpu_memory_mib": null}}',1795336510647,1,NULL);
INSERT INTO "outbox" VALUES(5,1,'epoch',0,'{"epoch": 2, "result": {"epoch": 2, "train_loss": 1.218468946569106, "train_accuracy": 0.6534926470588235, "val_loss": 1.0405240058898926, "val_accuracy": 0.6284722222222222, "learning_rate": 0.030865828381745515, "images": 1088, "train_seconds": 1.7785251759996754, "val_seconds": 0.03929441299987957, "micro_batch": 64, "diverged": false, "reason": null}, "load": {"worker": "node-1/11585", "cpu_percent": 100.0, "memory_percent": 27.8, "worker_memory_mib": 728.1484375, "gpu_percent": null, "gpu_memory_mib": null}}',1795336512517,1,NULL);
INSERT INTO "outbox" VALUES(6,1,'epoch',0,'{"epoch": 3, "result": {"epoch": 3, "train_loss": 0.762915106380687, "train_accuracy": 0.8042279411764706, "val_loss": 0.4713209867477417, "val_accuracy": 0.9027777777777778, "learning_rate": 0.00010705383806982605, "images": 1088, "train_seconds": 0.8988244199936162, "val_seconds": 0.08889807500236202, "micro_batch": 64, "diverged": false, "reason": null}, "load": {"worker": "node-1/11585", "cpu_percent": 100.0, "memory_percent": 26.2, "worker_memory_mib": 728.1640625, "gpu_percent": null, "gpu_memory_mib": null}}',1795336513551,1,NULL);
INSERT INTO "outbox" VALUES(7,1,'trial_ended',0,'{"outcome": "completed", "reason": "trained for all 3 epochs", "rung_epochs": null}',1795336513580,1,NULL);
INSERT INTO "outbox" VALUES(8,1,'trial_started',2,'{"family": "wrn", "name": "WRN-10-1", "arm": "sampler", "params": {"family": "wrn", "wrn/widen_factor": 1, "training/learning_rate": 0.12020182369603882}, "config": {"architecture": {"family": "wrn", "depth": 10, "widen_factor": 1, "block": "B(3,3)", "deepening_factor": 2, "dropout": 0.0}, "recipe": {"learning_rate": 0.12020182369603882, "head_learning_rate_factor": 1.0, "weight_decay": 0.0005, "batch_size": 64, "label_smoothing": 0.0, "augmentation": 0.5, "momentum": 0.9, "warmup_fraction": 0.05}, "input": {"in_channels": 1, "image_size": 8, "num_classes": 10}, "max_epochs": 3, "seed": 1195996529}, "complexity": {"params": 77562, "macs": 763520, "activations": 5386}}',1795336513615,1,NULL);
INSERT INTO "outbox" VALUES(9,1,'epoch',1,'{"epoch": 1, "result": {"epoch": 1, "train_loss": 2.147225772633272, "train_accuracy": 0.27481617647058826, "val_loss": 1.8310205936431885, "val_accuracy": 0.6944444444444444, "learning_rate": 0.06110568683657756, "images": 1088, "train_seconds": 1.1942287670026417, "val_seconds": 0.008816086003207602, "micro_batch": 64, "diverged": false, "reason": null}, "load": {"worker": "node-1/11585", "cpu_percent": 100.0, "memory_percent": 26.2, "worker_memory_mib": 728.76171875, "gpu_percent": null, "gpu_memory_mib": null}}',1795336514886,1,NULL);
INSERT INTO "outbox" VALUES(10,1,'epoch',1,'{"epoch": 2, "result": {"epoch": 2, "train_loss": 1.3739549973431755, "train_accuracy": 0.6387867647058824, "val_loss": 0.7526223659515381, "val_accuracy": 0.8055555555555556, "learning_rate": 0.022732785726557504, "images": 1088, "train_seconds": 0.7946826269981102, "val_seconds": 0.011387299004127271, "micro_batch": 64, "diverged": false, "reason": null}, "load": {"worker": "node-1/11585", "cpu_percent": 100.0, "memory_percent": 26.2, "worker_memory_mib": 728.76953125, "gpu_percent": null, "gpu_memory_mib": null}}',1795336515734,1,NULL);
INSERT INTO "outbox" VALUES(11,1,'epoch',1,'{"epoch": 3, "result": {"epoch": 3, "train_loss": 0.9194063298842486, "train_accuracy": 0.7610294117647058, "val_loss": 0.5654593706130981, "val_accuracy": 0.8645833333333334, "learning_rate": 7.884550940762129e-05, "images": 1088, "train_seconds": 1.1049419660048443, "val_seconds": 0.07283505599480122, "micro_batch": 64, "diverged": false, "reason": null}, "load": {"worker": "node-1/11585", "cpu_percent": 100.0, "memory_percent": 25.1, "worker_memory_mib": 729.046875, "gpu_percent": null, "gpu_memory_mib": null}}',1795336516973,1,NULL);
INSERT INTO "outbox" VALUES(12,1,'trial_ended',1,'{"outcome": "completed", "reason": "trained for all 3 epochs", "rung_epochs": null}',1795336516980,1,NULL);
INSERT INTO "outbox" VALUES(13,1,'trial_started',3,'{"family": "wrn", "name": "WRN-10-1", "arm": "sampler", "params": {"family": "wrn", "wrn/widen_factor": 1, "training/learning_rate": 0.12014624176346844}, "config": {"architecture": {"family": "wrn", "depth": 10, "widen_factor": 1, "block": "B(3,3)", "deepening_factor": 2, "dropout": 0.0}, "recipe": {"learning_rate": 0.12014624176346844, "head_learning_rate_factor": 1.0, "weight_decay": 0.0005, "batch_size": 64, "label_smoothing": 0.0, "augmentation": 0.5, "momentum": 0.9, "warmup_fraction": 0.05}, "input": {"in_channels": 1, "image_size": 8, "num_classes": 10}, "max_epochs": 3, "seed": 4277858504}, "complexity": {"params": 77562, "macs": 763520, "activations": 5386}}',1795336516995,1,NULL);
INSERT INTO "outbox" VALUES(14,1,'epoch',2,'{"epoch": 1, "result": {"epoch": 1, "train_loss": 2.067804224350873, "train_accuracy": 0.28952205882352944, "val_loss": 1.957620620727539, "val_accuracy": 0.2777777777777778, "learning_rate": 0.09972819655870915, "images": 1088, "train_seconds": 0.9734293059955235, "val_seconds": 0.01888943100493634, "micro_batch": 64, "diverged": false, "reason": null}, "load": {"worker": "node-1/11585", "cpu_percent": 100.0, "memory_percent": 25.1, "worker_memory_mib": 729.078125, "gpu_percent": null, "gpu_memory_mib": null}}',1795336518062,1,NULL);
INSERT INTO "outbox" VALUES(15,1,'trial_ended',2,'{"outcome": "stopped", "reason": "0.2778 was number 3 of 3 after epoch 1, where the best 1 went on", "rung_epochs": 1}',1795336518070,1,NULL);
INSERT INTO "outbox" VALUES(16,1,'epoch',3,'{"epoch": 1, "result": {"epoch": 1, "train_loss": 1.9940086813534008, "train_accuracy": 0.3290441176470588, "val_loss": 2.053544521331787, "val_accuracy": 0.3541666666666667, "learning_rate": 0.09968208173510623, "images": 1088, "train_seconds": 0.903010706002533, "val_seconds": 0.06871988200146006, "micro_batch": 64, "diverged": false, "reason": null}, "load": {"worker": "node-1/11585", "cpu_percent": 100.0, "memory_percent": 25.0, "worker_memory_mib": 729.015625, "gpu_percent": null, "gpu_memory_mib": null}}',1795336519275,1,NULL);
INSERT INTO "outbox" VALUES(17,1,'trial_ended',3,'{"outcome": "stopped", "reason": "0.3542 was number 3 of 4 after epoch 1, where the best 2 went on", "rung_epochs": 1}',1795336519275,1,NULL);
INSERT INTO "outbox" VALUES(18,1,'trial_started',4,'{"family": "wrn", "name": "WRN-10-1", "arm": "confirm", "params": {"family": "wrn", "wrn/widen_factor": 1, "training/learning_rate": 0.1}, "config": {"architecture": {"family": "wrn", "depth": 10, "widen_factor": 1, "block": "B(3,3)", "deepening_factor": 2, "dropout": 0.0}, "recipe": {"learning_rate": 0.1, "head_learning_rate_factor": 1.0, "weight_decay": 0.0005, "batch_size": 64, "label_smoothing": 0.0, "augmentation": 0.5, "momentum": 0.9, "warmup_fraction": 0.05}, "input": {"in_channels": 1, "image_size": 8, "num_classes": 10}, "max_epochs": 3, "seed": 3326840290}, "complexity": {"params": 77562, "macs": 763520, "activations": 5386}}',1795336519278,1,NULL);
INSERT INTO "outbox" VALUES(19,1,'epoch',4,'{"epoch": 1, "result": {"epoch": 1, "train_loss": 2.110808428596048, "train_accuracy": 0.2711397058823529, "val_loss": 1.724217414855957, "val_accuracy": 0.3993055555555556, "learning_rate": 0.08296729075500345, "images": 1088, "train_seconds": 1.0023269269950106, "val_seconds": 0.0128745149995666, "micro_batch": 64, "diverged": false, "reason": null}, "load": {"worker": "node-1/11585", "cpu_percent": 100.0, "memory_percent": 25.2, "worker_memory_mib": 729.15625, "gpu_percent": null, "gpu_memory_mib": null}}',1795336520418,1,NULL);
INSERT INTO "outbox" VALUES(20,1,'epoch',4,'{"epoch": 2, "result": {"epoch": 2, "train_loss": 1.203573226928711, "train_accuracy": 0.6525735294117647, "val_loss": 0.8411710262298584, "val_accuracy": 0.7222222222222222, "learning_rate": 0.030865828381745515, "images": 1088, "train_seconds": 1.4968532409984618, "val_seconds": 0.03182361100334674, "micro_batch": 64, "diverged": false, "reason": null}, "load": {"worker": "node-1/11585", "cpu_percent": 100.0, "memory_percent": 25.7, "worker_memory_mib": 729.16015625, "gpu_percent": null, "gpu_memory_mib": null}}',1795336522023,1,NULL);
INSERT INTO "outbox" VALUES(21,1,'epoch',4,'{"epoch": 3, "result": {"epoch": 3, "train_loss": 0.8069515789256376, "train_accuracy": 0.765625, "val_loss": 0.5163767337799072, "val_accuracy": 0.8611111111111112, "learning_rate": 0.00010705383806982605, "images": 1088, "train_seconds": 0.8409081270001479, "val_seconds": 0.11224999900150578, "micro_batch": 64, "diverged": false, "reason": null}, "load": {"worker": "node-1/11585", "cpu_percent": 100.0, "memory_percent": 25.9, "worker_memory_mib": 729.1640625, "gpu_percent": null, "gpu_memory_mib": null}}',1795336523070,1,NULL);
INSERT INTO "outbox" VALUES(22,1,'trial_ended',4,'{"outcome": "completed", "reason": "trained for all 3 epochs", "rung_epochs": null}',1795336523071,1,NULL);
INSERT INTO "outbox" VALUES(23,1,'search_ended',NULL,'{"leaderboard": [{"number": 0, "name": "WRN-10-1", "family": "wrn", "val_accuracy": 0.9027777777777778, "params": 77562, "macs": 763520}, {"number": 1, "name": "WRN-10-1", "family": "wrn", "val_accuracy": 0.8645833333333334, "params": 77562, "macs": 763520}], "confirmed": [{"name": "WRN-10-1", "family": "wrn", "trial": 0, "search_val_accuracy": 0.9027777777777778, "runs": [4], "completed": 1, "unsuccessful": {}, "mean": 0.8611111111111112, "estimate": 0.8611111111111112, "interval": [0.0, 1.0], "probability_best": 1.0, "estimator": "mean of the confirm runs, bootstrap-corrected for its rank (Simon & Simon 2013)"}], "winner": {"name": "WRN-10-1", "family": "wrn", "trial": 0, "search_val_accuracy": 0.9027777777777778, "runs": [4], "completed": 1, "unsuccessful": {}, "mean": 0.8611111111111112, "estimate": 0.8611111111111112, "interval": [0.0, 1.0], "probability_best": 1.0, "estimator": "mean of the confirm runs, bootstrap-corrected for its rank (Simon & Simon 2013)", "model_trial": 4, "model_val_accuracy": 0.8611111111111112, "test_accuracy": 0.8495821727019499, "test_interval": [0.8089127953960639, 0.8828493886051781], "num_test": 359, "models_read_on_test": 1}, "checkpoints": [{"number": 0, "path": "/home/somebody/runs/old/trials/0000/e0003-a1.ckpt"}, {"number": 4, "path": "/home/somebody/runs/old/trials/0004/e0003-a1.ckpt"}], "reports": ["/home/somebody/runs/old/report.html", "/home/somebody/runs/old/report.md", "/home/somebody/runs/old/trials.parquet", "/home/somebody/runs/old/epochs.parquet"], "finished": true, "ending": "finished"}',1795336532036,1,NULL);
CREATE TABLE refused (
	id INTEGER NOT NULL, 
	search_id INTEGER NOT NULL, 
	before_number INTEGER NOT NULL, 
	kind VARCHAR(20) NOT NULL, 
	arm VARCHAR(20) NOT NULL, 
	params JSON NOT NULL, 
	reason TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(search_id) REFERENCES searches (id)
);
CREATE TABLE requests (
	id INTEGER NOT NULL, 
	search_id INTEGER NOT NULL, 
	kind VARCHAR(20) NOT NULL, 
	created_ms BIGINT NOT NULL, 
	handled BOOLEAN NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(search_id) REFERENCES searches (id)
);
CREATE TABLE searches (
	id INTEGER NOT NULL, 
	uuid VARCHAR(32) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	identity JSON NOT NULL, 
	settings JSON NOT NULL, 
	space JSON NOT NULL, 
	created_ms BIGINT NOT NULL, 
	seconds FLOAT NOT NULL, 
	finished BOOLEAN NOT NULL, 
	ending TEXT, 
	token INTEGER NOT NULL, 
	heartbeat BIGINT NOT NULL, 
	holder JSON, 
	PRIMARY KEY (id), 
	UNIQUE (uuid), 
	UNIQUE (name)
);
INSERT INTO "searches" VALUES(1,'4a908445c95245038f217936dd1a3b54','old','{"space": "5e3f9693562943f5b6fcb336e899611ba9ab9c2906517f01505cfc313ee47575", "data": "58bb98f54e858b34c4b0e2353b8580c895e0fe127e46a34a9322430ac0e016f4", "split": "cf35bfdd94e098275ff989034fe393614f09cccbb7687073ab9beaf051890e96", "train_size": null, "seed": 0, "max_epochs": 3, "objective": "val_accuracy"}','{"space": "smoke", "data": {"name": "digits", "path": "/home/somebody/runs/data/digits-8.arrow", "num_classes": 10, "in_channels": 1, "image_size": 8, "class_names": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"], "num_train": 1150, "num_val": 288, "num_test": 359, "train_size": null, "mean": [0.30485640451832907], "std": [0.3757721962659481], "digest": "58bb98f54e858b34c4b0e2353b8580c895e0fe127e46a34a9322430ac0e016f4", "split_digest": "cf35bfdd94e098275ff989034fe393614f09cccbb7687073ab9beaf051890e96", "flip": false, "multi_label": false}, "data_dir": null, "train_size": null, "image_size": null, "seed": 0, "trials": 4, "more_trials": null, "time_budget_seconds": null, "concurrency": null, "cpus_per_trial": 1, "gpus_per_trial": null, "max_epochs": null, "max_params": null, "max_macs": "default", "retry_memory": false, "random_share": 0.1, "confirm": "1x1", "hang_seconds": 300.0, "name": "old", "runs_dir": "runs", "address": null, "rungs": [1], "tracking_uri": null}','{"name": "smoke", "description": "Does everything work?", "families": {"resnet": {"depth": {"int": [8, 14], "step": 6}, "activation_order": {"choice": ["post", "pre"]}}, "wrn": {"depth": 10, "widen_factor": {"choice": [1, 2]}}}, "training": {"learning_rate": {"float": [0.05, 0.2], "log": true}, "batch_size": 64}, "fidelity": {"max_epochs": 3, "grace_period_epochs": 1, "reduction_factor": 3}, "constraints": {"max_params": 1000000, "max_macs": null, "max_memory_mib": null}, "baselines": ["WRN-10-1"], "objective": "val_accuracy"}',1795336465496,66.8043061740027,1,'finished',1,63,'null');
CREATE TABLE test_readings (
	id INTEGER NOT NULL, 
	search_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	checksum VARCHAR(64) NOT NULL, 
	data_digest VARCHAR(64) NOT NULL, 
	accuracy FLOAT NOT NULL, 
	predictions BLOB NOT NULL, 
	forced BOOLEAN NOT NULL, 
	created_ms BIGINT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(search_id) REFERENCES searches (id)
);
INSERT INTO "test_readings" VALUES(1,1,4,'7435147492661eb7ec9de7d05b379dc2dddd546c659077ef4ac70123a23ea672','58bb98f54e858b34c4b0e2353b8580c895e0fe127e46a34a9322430ac0e016f4',8.49582172701949911441e-01,X'0300000001000000050000000400000005000000090000000700000000000000020000000800000003000000010000000500000004000000060000000900000007000000000000000200000008000000030000000100000005000000040000000500000009000000070000000000000002000000080000000300000001000000050000000400000005000000090000000700000000000000020000000200000003000000010000000500000004000000060000000900000007000000000000000300000008000000090000000100000005000000040000000600000004000000070000000000000002000000080000000300000001000000050000000400000006000000090000000700000000000000020000000800000003000000010000000500000004000000060000000400000007000000000000000200000008000000030000000100000005000000040000000600000009000000070000000000000002000000080000000700000001000000050000000400000006000000010000000700000000000000020000000900000009000000010000000900000004000000060000000900000007000000000000000200000008000000090000000100000005000000040000000600000009000000070000000000000002000000080000000900000001000000050000000400000006000000090000000700000000000000010000000800000007000000010000000500000004000000060000000900000007000000000000000200000008000000030000000100000005000000040000000600000009000000070000000000000002000000030000000300000001000000090000000400000006000000090000000700000000000000010000000200000009000000010000000500000004000000060000000900000007000000000000000800000008000000090000000100000005000000040000000600000009000000070000000000000002000000060000000300000001000000050000000400000006000000090000000700000000000000020000000800000009000000010000000500000001000000060000000900000007000000000000000200000003000000080000000100000005000000040000000600000009000000070000000000000002000000090000000600000001000000050000000400000006000000090000000700000000000000080000000300000009000000010000000500000004000000060000000900000007000000000000000200000003000000010000000900000008000000040000000600000009000000070000000000000001000000030000000100000005000000080000000400000006000000090000000700000000000000020000000300000005000000050000000800000004000000060000000900000007000000000000000700000009000000010000000500000004000000000000000900000009000000070000000000000002000000030000000100000005000000040000000600000001000000090000000700000000000000020000000900000001000000050000000400000006000000080000000900000007000000000000000000000007000000010000000500000004000000060000000100000009000000070000000000000009000000020000000100000005000000040000000600000009000000080000000700000000000000090000000200000001000000050000000400000006000000090000000800000007000000000000000900000002000000010000000500000004000000060000000900000001000000040000000000000003000000020000000500000005000000040000000600000009000000080000000700000000000000090000000200000001000000050000000400000006000000090000000100000007000000000000000300000002000000090000000500000004000000060000000900000001000000070000000000000005000000',0,1795336530445);
CREATE TABLE tracking_ids (
	search_id INTEGER NOT NULL, 
	server VARCHAR(300) NOT NULL, 
	"key" VARCHAR(100) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (search_id, server, "key"), 
	FOREIGN KEY(search_id) REFERENCES searches (id)
);
INSERT INTO "tracking_ids" VALUES(1,'default','search','c8dde7b21fcc4a0591d859a541fdcf5d');
INSERT INTO "tracking_ids" VALUES(1,'default','c8dde7b21fcc4a0591d859a541fdcf5d/trial-0','d593285096be4eb0b88a7aca7d0639ab');
INSERT INTO "tracking_ids" VALUES(1,'default','c8dde7b21fcc4a0591d859a541fdcf5d/trial-1','a2d8f4d199a34b66b01d42490a974e8b');
INSERT INTO "tracking_ids" VALUES(1,'default','c8dde7b21fcc4a0591d859a541fdcf5d/trial-2','09cab33764c44a69977330dcff74f536');
INSERT INTO "tracking_ids" VALUES(1,'default','c8dde7b21fcc4a0591d859a541fdcf5d/trial-3','4a693270f5d546d086025f3e0d96c738');
INSERT INTO "tracking_ids" VALUES(1,'default','c8dde7b21fcc4a0591d859a541fdcf5d/trial-4','3b4c6f4d49794da18f04ba14a598739d');
CREATE TABLE trials (
	search_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	family VARCHAR(100) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	arm VARCHAR(20) NOT NULL, 
	params JSON NOT NULL, 
	config JSON NOT NULL, 
	config_digest VARCHAR(64) NOT NULL, 
	complexity JSON NOT NULL, 
	outcome VARCHAR(20), 
	reason TEXT, 
	rung_epochs INTEGER, 
	shadow_rung_epochs INTEGER, 
	created_ms BIGINT NOT NULL, 
	finished_ms BIGINT, 
	PRIMARY KEY (search_id, number), 
	FOREIGN KEY(search_id) REFERENCES searches (id)
);
INSERT INTO "trials" VALUES(1,0,'wrn','WRN-10-1','baseline','{"family": "wrn", "wrn/widen_factor": 1, "training/learning_rate": 0.1}','{"architecture": {"family": "wrn", "depth": 10, "widen_factor": 1, "block": "B(3,3)", "deepening_factor": 2, "dropout": 0.0}, "recipe": {"learning_rate": 0.1, "head_learning_rate_factor": 1.0, "weight_decay": 0.0005, "batch_size": 64, "label_smoothing": 0.0, "augmentation": 0.5, "momentum": 0.9, "warmup_fraction": 0.05}, "input": {"in_channels": 1, "image_size": 8, "num_classes": 10}, "max_epochs": 3, "seed": 3451003037}','402f4969dbe22f17c54f46dd2f3e9629e9adfd233edc444987a2430b01dfaeb3','{"params": 77562, "macs": 763520, "activations": 5386}','completed','trained for all 3 epochs',NULL,NULL,1795336490580,1795336513551);
INSERT INTO "trials" VALUES(1,1,'wrn','WRN-10-1','random','{"family": "wrn", "wrn/widen_factor": 1, "training/learning_rate": 0.07365033410216845}','{"architecture": {"family": "wrn", "depth": 10, "widen_factor": 1, "block": "B(3,3)", "deepening_factor": 2, "dropout": 0.0}, "recipe": {"learning_rate": 0.07365033410216845, "head_learning_rate_factor": 1.0, "weight_decay": 0.0005, "batch_size": 64, "label_smoothing": 0.0, "augmentation": 0.5, "momentum": 0.9, "warmup_fraction": 0.05}, "input": {"in_channels": 1, "image_size": 8, "num_classes": 10}, "max_epochs": 3, "seed": 2043471749}','c49064d4d62536b109f61d0edcc8eccfb51d3b4ee396799d01b92493b8fbbe52','{"params": 77562, "macs": 763520, "activations": 5386}','completed','trained for all 3 epochs',NULL,NULL,1795336508194,1795336516979);
INSERT INTO "trials" VALUES(1,2,'wrn','WRN-10-1','sampler','{"family": "wrn", "wrn/widen_factor": 1, "training/learning_rate": 0.12020182369603882}','{"architecture": {"family": "wrn", "depth": 10, "widen_factor": 1, "block": "B(3,3)", "deepening_factor": 2, "dropout": 0.0}, "recipe": {"learning_rate": 0.12020182369603882, "head_learning_rate_factor": 1.0, "weight_decay": 0.0005, "batch_size": 64, "label_smoothing": 0.0, "augmentation": 0.5, "momentum": 0.9, "warmup_fraction": 0.05}, "input": {"in_channels": 1, "image_size": 8, "num_classes": 10}, "max_epochs": 3, "seed": 1195996529}','7d96a7ed3ac727288d90264bb9a014c307aa52c0dff238a67157ab03f4e3093b','{"params": 77562, "macs": 763520, "activations": 5386}','stopped','0.2778 was number 3 of 3 after epoch 1, where the best 1 went on',1,NULL,1795336513613,1795336518069);
INSERT INTO "trials" VALUES(1,3,'wrn','WRN-10-1','sampler','{"family": "wrn", "wrn/widen_factor": 1, "training/learning_rate": 0.12014624176346844}','{"architecture": {"family": "wrn", "depth": 10, "widen_factor": 1, "block": "B(3,3)", "deepening_factor": 2, "dropout": 0.0}, "recipe": {"learning_rate": 0.12014624176346844, "head_learning_rate_factor": 1.0, "weight_decay": 0.0005, "batch_size": 64, "label_smoothing": 0.0, "augmentation": 0.5, "momentum": 0.9, "warmup_fraction": 0.05}, "input": {"in_channels": 1, "image_size": 8, "num_classes": 10}, "max_epochs": 3, "seed": 4277858504}','60472c25e9468bab348b8df7011bda4cb22ebc0d6682ad67286df90d7afba1e6','{"params": 77562, "macs": 763520, "activations": 5386}','stopped','0.3542 was number 3 of 4 after epoch 1, where the best 2 went on',1,NULL,1795336516993,1795336519275);
INSERT INTO "trials" VALUES(1,4,'wrn','WRN-10-1','confirm','{"family": "wrn", "wrn/widen_factor": 1, "training/learning_rate": 0.1}','{"architecture": {"family": "wrn", "depth": 10, "widen_factor": 1, "block": "B(3,3)", "deepening_factor": 2, "dropout": 0.0}, "recipe": {"learning_rate": 0.1, "head_learning_rate_factor": 1.0, "weight_decay": 0.0005, "batch_size": 64, "label_smoothing": 0.0, "augmentation": 0.5, "momentum": 0.9, "warmup_fraction": 0.05}, "input": {"in_channels": 1, "image_size": 8, "num_classes": 10}, "max_epochs": 3, "seed": 3326840290}','402f4969dbe22f17c54f46dd2f3e9629e9adfd233edc444987a2430b01dfaeb3','{"params": 77562, "macs": 763520, "activations": 5386}','completed','trained for all 3 epochs',NULL,NULL,1795336519277,1795336523071);
CREATE TABLE versions (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "versions" VALUES(1);
CREATE INDEX ix_trials_config_digest ON trials (config_digest);
CREATE INDEX ix_outbox_waiting ON outbox (search_id, delivered, id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',23);
INSERT INTO "sqlite_sequence" VALUES('epochs',11);
COMMIT;
