"""The network in pure PyTorch: no scikit-learn, no seconds, only feature steps.

The way of the data is ``crnn`` (features to feature map), ``rpn`` (feature map to
proposals), ``roi`` (feature map under each proposal) and ``rcrnn`` (the whole network
with its two losses). ``intervals`` is the one-dimensional geometry that they share.
"""
