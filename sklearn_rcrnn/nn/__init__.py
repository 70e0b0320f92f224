"""The network in PyTorch: it knows steps of the feature map, but no seconds and no files.

The way of the data is one module after the other: ``normalization`` and ``crnn`` (features
to feature map), ``rpn`` (feature map to proposals), ``roi`` and ``heads`` (proposals to scored
intervals); ``rcrnn`` puts them in a row. ``recipe`` holds the values of the training.

What they share: ``intervals`` (IoU and limits in one dimension), ``coding`` (intervals as
deltas from anchors), ``matching`` (anchors and RoIs with true events), ``nms``, and
``losses``. Beside them stand ``step_classifier`` (a loss that only training uses), ``presence``
(the network of the pre-training), ``frame_networks`` (the rivals that judge frame by frame),
``folding`` (the network made quicker for prediction) and ``onnx`` (the network as a graph).
"""
