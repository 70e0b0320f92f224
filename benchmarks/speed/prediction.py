"""`predict` from features beside the bare network, rivals and the exported graph.

python benchmarks/speed/prediction.py [--clips 64]

"Bare" is the convolutional recurrent network in batches of 16, with its normalization and
without proposals, classifier and suppression. Long: the same frames as one recording.
"""

from __future__ import annotations

import os
import tempfile

from timing import Report, autocast, bare_forward, clips, fitted, interleaved, parse, precisions


def main() -> None:
    args = parse(__doc__, clips=64)
    report = Report(args)
    features, y = clips(args.clips)
    long = features.reshape(1, -1, features.shape[2])
    detector = fitted(features[:16], y[:16])
    bare = bare_forward(detector.net_.module_.extractor, features)
    for precision in precisions():
        detector.set_params(precision=precision)

        def reference(precision=precision):
            with autocast(precision):
                bare()

        runs = [reference, lambda: detector.predict(features), lambda: detector.predict(long)]
        theirs, short, one = interleaved(runs, args.repeats, args.seconds)
        report.row(f"`predict`, {args.clips} clips, {precision}", short, theirs, "bare", 1.1)
        report.row(f"`predict`, one recording, {precision}", one, theirs, "bare", 1.1)
    detector.set_params(precision="float32")
    exported(detector, features[0], report, args)


def exported(detector, clip, report, args):
    import onnxruntime

    from sklearn_rcrnn import export_onnx

    with tempfile.TemporaryDirectory() as folder:
        path = export_onnx(detector, os.path.join(folder, "model.onnx"))
        session = onnxruntime.InferenceSession(path)
    runs = [lambda: detector.predict([clip]), lambda: session.run(None, {"features": clip})]
    theirs, mine = interleaved(runs, args.repeats, args.seconds)
    report.row("exported graph, 1 clip", mine, theirs, "`predict`")


if __name__ == "__main__":
    main()
