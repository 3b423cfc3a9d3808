"""What tells whether a journal or a checkpoint was taken with the settings that there are now.

Only what differs from its default counts, so a version that knows more settings reads what an older
one wrote. Format 1 hashed every field that there was, and the version: what it wrote is recognised
by the fields of then.
"""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from edge.settings import EngineSettings

if TYPE_CHECKING:
    from edge.settings import GatewaySettings

Told = dict[str, object] | list[object] | str | int | float | bool | None

FIRST_FORMAT: Final = 1
VERSION_OF_FIRST: Final = "0.1.0"  # the only one that wrote checkpoints of format 1
# Fields of each settings struct when format 1 was written, in their order; it hashed all of them.
FIELDS_OF_FIRST: Final = {
    "GatewaySettings": "site prefix clock engine source asset position trust commissioning texts"
    " texts_zone",
    "EngineSettings": "tick_ms late_ms_max hold_ms_max future_ms_max behind_ms_max"
    " min_duration_samples open_window_samples clear_samples cooldown_s escalate flood_time_quiets"
    " chatter_rings chatter_window_s stale_s fuse_s fuse_s_max fuse_extension_s_max settle_s"
    " settle_s_max start_settle_s suppressions_per_shift_max shift_s shift_start_s"
    " suppress_severity_max shelve_s_max out_of_service_s_max retrieve_ms_max stuck_samples_min"
    " comms_gap_s score_publish_s health_publish_s",
    "Source": "topic asset interval_ms_max",
    "AssetSettings": "id functional_location area utilities position tags units on_change context"
    " waveform safety redundant consequence action cause respond_min severity",
    "ContextTag": "tag role running kind instrument interval_ms_max",
    "Waveform": "tag topic rate_hz block encoding header key scale unit stamp full_scale every_ms"
    " speed speed_age_ms_max rpm_per_unit rpm rpm_min rpm_max stages bearings bands_hz envelope_hz"
    " channels levels median_blocks",
    "GearStage": "driving driven",
    "Bearing": "name balls ball_mm pitch_mm contact_deg shaft",
    "OperatorPosition": "name alerts_per_day assets",
    "TrustSettings": "require_signed public_keys operators",
    "CommissioningSettings": "assets learn_minutes learn_rows period_s",
}


def settings_sha256(settings: GatewaySettings, *, first: bool = False) -> str:
    """Hash of all that the core reads. first: as format 1 made it."""
    return _sha256(msgspec.json.encode(_as_first(settings) if first else _told(settings)))


def fingerprint(settings: GatewaySettings, bundle_sha256: str, *, state_format: int) -> str:
    """What a checkpoint of a state format must be read back with: the detector, and the plant.

    How the core behaves may change over a restart; what its state is made of may not.
    """
    shape = msgspec.structs.replace(settings, engine=EngineSettings())
    first = state_format == FIRST_FORMAT
    parts = (bundle_sha256, settings_sha256(shape, first=first))
    return _sha256("\x1f".join((VERSION_OF_FIRST, *parts) if first else parts).encode())


def _told(value: object) -> Told:
    """Settings as JSON has them, without what is as it would be if nobody had said anything."""
    if isinstance(value, msgspec.Struct):
        return {
            field.encode_name: _told(given)
            for field in _fields(type(value))
            for given in (getattr(value, field.name),)
            if given != _default(field)
        }
    return _inside(value, _told)


def _as_first(value: object) -> Told:
    """The same with every field that there was in format 1, and no other."""
    if isinstance(value, msgspec.Struct):
        every = " ".join(value.__struct_fields__)  # of a kind that came since
        names = FIELDS_OF_FIRST.get(type(value).__name__, every).split()
        return {name: _as_first(getattr(value, name)) for name in names}
    return _inside(value, _as_first)


def _inside(value: object, inner: object) -> Told:
    assert callable(inner)
    if isinstance(value, dict):
        return {str(key): inner(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [inner(one) for one in value]
    plain: Told = msgspec.to_builtins(value)
    return plain


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Annotations are evaluated for it, which every checkpoint would do again."""
    return msgspec.structs.fields(kind)


def _default(field: msgspec.structs.FieldInfo) -> object:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
