"""Training with skorch: data, targets, augmentation, nets, callbacks, device, first weights."""
