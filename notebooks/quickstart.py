r"""ktlite's quick start: from a checkpoint and a file of labelled texts to a saved predictor.

    python notebooks/quickstart.py --checkpoint PATH-OR-HUB-NAME

Without further arguments it learns to tell positive from negative film reviews
(data/movie_reviews.csv). Other data is a matter of arguments:

    python notebooks/quickstart.py --checkpoint ... --train hotels.csv --sep "|" \
        --text-column content --label-columns pos neg --maxlen 256
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SENTENCES = [
    "A warm, funny, engaging film.",
    "Two hours of my life that I will never get back.",
    "The plot is thin, but the actors more than make up for it.",
]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", help="checkpoint folder or Hub name")
    parser.add_argument("--train", type=Path, default=ROOT / "data" / "movie_reviews.csv")
    parser.add_argument("--val", type=Path, help="default: a stratified fifth of the training file")
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--label-columns", nargs="+", default=["label"])
    parser.add_argument("--sep", default=",", help=r"column separator; '\t' for tabs")
    parser.add_argument("--encoding", help="default: detected")
    parser.add_argument("--names", nargs="+", help="column names of a file without header")
    parser.add_argument("--maxlen", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--lr", type=float, help="default: what the finder suggests")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--out", type=Path, default=ROOT / "quickstart")
    parser.add_argument("--sentences", nargs="+", default=SENTENCES, help="what to predict")
    parser.add_argument("--predict", type=Path, help="only load this predictor and predict")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    if args.predict:
        predict(args.predict, args.sentences)
        return

    started = time.time()
    say("Starting TensorFlow and reading the data.")
    import ktlite

    learner = ktlite.get_learner(
        args.checkpoint,
        train_data=args.train,
        val_data=args.val,
        text_column=args.text_column,
        label_columns=args.label_columns,
        sep=args.sep.replace("\\t", "\t"),
        encoding=args.encoding,
        names=args.names,
        val_pct=0.2,
        maxlen=args.maxlen,
        seed=args.seed,
    )

    args.out.mkdir(parents=True, exist_ok=True)
    say("Looking for a good learning rate: it grows from batch to batch until the loss explodes.")
    found = learner.lr_find()
    plot = args.out / "lr_finder.png"
    found.plot().savefig(plot, dpi=150)
    print(f"The plot is in {plot}.")

    lr = args.lr or found.valley or 1e-4  # a rate that fits most small models
    say(f"Training {args.epochs} epochs with one-cycle up to a rate of {lr:.1e}.")
    learner.fit_onecycle(lr, args.epochs)
    learner.plot(return_fig=True).savefig(args.out / "training.png", dpi=150)

    say("Validating.")
    learner.validate()
    accuracy = learner.metrics()["accuracy"]
    print(f"Validation accuracy: {accuracy:.4f}")
    print("The validation texts that the model gets most wrong:")
    learner.view_top_losses(3)

    say("Saving the predictor.")
    folder = args.out / "predictor"
    learner.get_predictor().save(folder)
    print(f"It is in {folder}; Hugging Face transformers opens that folder too.")

    say("Loading it in a new process, as an application would.")
    command = [sys.executable, __file__, "--predict", str(folder), "--sentences", *args.sentences]
    subprocess.run(command, check=True)
    say(f"Done in {(time.time() - started) / 60:.1f} minutes.")


def predict(folder: Path, sentences: list[str]) -> None:
    import ktlite

    predictor = ktlite.load_predictor(folder)
    classes = predictor.get_classes()
    labels = predictor.predict(sentences)
    for text, label, row in zip(sentences, labels, predictor.predict_proba(sentences), strict=True):
        chances = ", ".join(f"{c} {p:.3f}" for c, p in zip(classes, row, strict=True))
        print(f"{label:>10}  ({chances})  {text}")


def say(sentence: str) -> None:
    print(f"\n== {sentence}", flush=True)


if __name__ == "__main__":
    main()
