"""What `calibrate` prints of the comparison with production: a line or two."""

from collections.abc import Sequence

from calibrate.production.files import Production
from calibrate.report.write import ReportedPolicy


def production_lines(production: Production, reported: Sequence[ReportedPolicy]) -> list[str]:
    """Flags gained and lost over all bands that both have, and what could not be compared."""
    bands = [band for each in reported if each.against for band in each.against.bands if band is not None]
    gained, lost = sum(band.facts.gained for band in bands), sum(band.facts.lost for band in bands)
    line = (
        f"production: {gained:,} flags on golden posts gained and {lost:,} lost, over {len(bands):,} bands that both "
        "have; production.csv and the page say which. Choose no model by these labels"
    )
    lacking = [each.calibration.policy.policy_id for each in reported if each.against is None]
    lacking += [
        f"{each.calibration.policy.policy_id}/{band.title}"
        for each in reported
        if each.against
        for band, other in zip(each.calibration.bands, each.against.bands, strict=True)
        if other is None
    ]
    versions = [
        f"{each.calibration.policy.policy_id} at {each.against.facts.version}, not {each.calibration.policy.version}"
        for each in reported
        if each.against and each.against.facts.version != each.calibration.policy.version
    ]
    said = [
        f"it has no {', '.join(lacking)}" if lacking else "",
        f"it serves {', '.join(versions)}" if versions else "",
        (
            f"{len(production.missing):,} golden items have no score of its and are left out"
            if production.missing
            else ""
        ),
    ]
    caution = "; ".join(each for each in said if each)
    return [line, *([f"caution: production: {caution}"] if caution else [])]
