"""The configuration of a gateway with one neighbour, for the benches that measure a border."""

from pathlib import Path


def gateway_toml(country: str, far: str, pki: Path, listens: dict[str, str], rate_kbps: int, dialled: str | None, rest: str) -> str:
    """A gateway of `country` that listens at addresses for `units`, `peers` and `console`, and dials `far` if it has its address.

    `rest` is what the bench adds: talkgroups, bridges, rates.
    """
    trust = "".join(
        f'[[trust]]\nauthority = "{who}"\nroot = "{pki}/{who}/root.pem"\nrevoked = "{pki}/{who}/revoked.pem"\nfor = ["{what}"]\n'
        for who, what in ((country, "units"), (far, "peers"))
    )
    address = f'address = "{dialled}"\n' if dialled else ""
    return f"""# Written by tools/bench.
authority = "{country}"
name = "gw-1"
state = "var"
[listen]
units = ["{listens["units"]}"]
peers = ["{listens["peers"]}"]
console = "{listens["console"]}"
[identity]
certificate = "{pki}/{country}/gw-1.pem"
key = "{pki}/{country}/gw-1.key"
{trust}[[peer]]
authority = "{far}"
name = "gw-1"
{address}rate_kbps = {rate_kbps}
{rest}"""
