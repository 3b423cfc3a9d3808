"""What an asset has in a bundle beside its baseline while running: for showing and comparing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.fitting.positions import position_of
from models.fitting.season_words import hourly_channels
from models.graphs.head import heads_in

if TYPE_CHECKING:
    from models.bundles.bundle import AssetModel, Bundle


def standing(bundle: Bundle, model: AssetModel) -> dict[str, Any]:
    """Keys of `andon model show`; each value is of JSON.

    failure_modes: labels that its head knows, [] without one. modes: values of the operating modes,
    and whether they are told by a tag or guessed. tuned_shift: of the threshold by labels, None
    where there were none. by_hour: channels that are judged by the hour of the day. position:
    operator position that it belongs to, "" where none names it.
    """
    part, _ = bundle.place(model.row_running)
    notes = [note for note, _ in heads_in(part.graph) if model.asset in note.assets]
    return {
        "failure_modes": [name for note in notes for name in note.classes],
        "modes": [mode.value for mode in model.modes],
        "modes_guessed": model.found is not None,
        "baseline_stopped": model.row_stopped >= 0,
        "by_hour": hourly_channels(model),
        "tuned_shift": None if model.tuned is None else model.tuned.shift,
        "position": position_of(model.asset, bundle.positions),
    }


def standing_words(bundle: Bundle, model: AssetModel) -> dict[str, str]:
    """The same and the replay in words, by what they are about; always the same keys."""
    told, replay = standing(bundle, model), model.replay
    modes = ", ".join(f"{value:g}" for value in told["modes"])
    how = "guessed" if told["modes_guessed"] else "told"
    shift = told["tuned_shift"]
    return {
        "names failure modes": ", ".join(told["failure_modes"]) or "none",
        "operating modes": f"{how}: {modes}" if modes else "none",
        "stopped baseline": "yes" if told["baseline_stopped"] else "none",
        "usual by the hour": ", ".join(told["by_hour"]) or "none",
        "operator position": told["position"] or "none named",
        "threshold moved by labels": "not tuned" if shift is None else f"{shift:+.2f}",
        "replay": f"{replay.episodes} alerts in {replay.days:.3g} days" if replay else "not tried",
    }
