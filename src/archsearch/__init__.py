"""archsearch: a distributed search over convolutional architectures that people can trust."""
