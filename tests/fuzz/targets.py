"""The one table of all that is fuzzed."""

from __future__ import annotations

from typing import Final

from tests.fuzz import (
    artifact_targets,
    bench_targets,
    box_targets,
    decoder_targets,
    document_targets,
    engine_targets,
    format_targets,
    import_targets,
    kept_targets,
    link_targets,
    paper_targets,
    state_targets,
    storage_targets,
    table_targets,
    trust_targets,
    wire_targets,
)

TARGETS: Final = (
    *wire_targets.TARGETS,
    *decoder_targets.TARGETS,
    *engine_targets.TARGETS,
    *storage_targets.TARGETS,
    *format_targets.TARGETS,
    *import_targets.TARGETS,
    *table_targets.TARGETS,
    *trust_targets.TARGETS,
    *state_targets.TARGETS,
    *box_targets.TARGETS,
    *kept_targets.TARGETS,
    *link_targets.TARGETS,
    *paper_targets.TARGETS,
    *bench_targets.TARGETS,
    *document_targets.TARGETS,
    *artifact_targets.TARGETS,
)

assert len({target.name for target in TARGETS}) == len(TARGETS), "each name once"
