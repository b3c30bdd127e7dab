"""Tasks: what a label means, from data to loss to readable predictions. One file each."""

from ktlite.tasks.answers import Answer
from ktlite.tasks.classification import Classification
from ktlite.tasks.image_text import ImageText
from ktlite.tasks.infer import TASKS, find_task, infer_task, register
from ktlite.tasks.losses import focal_loss
from ktlite.tasks.masked_lm import MaskedLM
from ktlite.tasks.multilabel import MultiLabel
from ktlite.tasks.question_answering import QuestionAnswering
from ktlite.tasks.regression import Regression
from ktlite.tasks.sequences import Sequences, Summarization, Translation
from ktlite.tasks.similarity import Similarity
from ktlite.tasks.speech_recognition import SpeechRecognition
from ktlite.tasks.task import Report, Task
from ktlite.tasks.text_generation import TextGeneration
from ktlite.tasks.token_classification import TokenClassification
from ktlite.tasks.transcription import Transcription

__all__ = [
    "TASKS",
    "Answer",
    "Classification",
    "ImageText",
    "MaskedLM",
    "MultiLabel",
    "QuestionAnswering",
    "Regression",
    "Report",
    "Sequences",
    "Similarity",
    "SpeechRecognition",
    "Summarization",
    "Task",
    "TextGeneration",
    "TokenClassification",
    "Transcription",
    "Translation",
    "find_task",
    "focal_loss",
    "infer_task",
    "register",
]
