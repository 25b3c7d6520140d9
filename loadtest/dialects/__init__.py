"""How rows become complete HTTP requests, and the bodies of answers become tensors again."""
