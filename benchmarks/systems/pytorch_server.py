"""The server that most people would write: FastAPI around a PyTorch `pipeline`."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

folder, port, maxlen = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
classify = pipeline("text-classification", model=folder, device="cpu", top_k=None)
app = FastAPI()


class Texts(BaseModel):
    texts: list[str]


@app.get("/health")
def health() -> str:
    return "alive"


@app.post("/predict_proba")
def predict_proba(content: Texts) -> dict[str, list[list[float]]]:
    found = classify(content.texts, truncation=True, max_length=maxlen)
    ordered = [sorted(row, key=lambda item: item["label"]) for row in found]
    return {"probabilities": [[item["score"] for item in row] for row in ordered]}


uvicorn.run(app, port=port, log_level="warning")
