"""PyTorch under replay: the shadow of its tensors, its draws, and its operations on variates."""
