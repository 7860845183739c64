#!/usr/bin/env python3
"""Runs the simulation over many seeds, in several processes, and sums up; `tools/simulate` starts this."""

import argparse
import os
import sys

import figures
import jobs

LIVES = "random::the_seeds_that_were_asked_for"
LIES = "lies::the_seeds_that_were_asked_for"
PLANTED = "planted::the_seeds_that_were_asked_for"
# A run of many seeds proves nothing if it saw no more of these than it lived seeds.
MANY = 1_000
SEEN = ("grants", "preemptions", "splits", "heals", "kills", "own_side")
# What cargo's test harness and the runner say beside what is to be read.
NOISE = ("lived ", "totals ", "running ", "test ")


def lives(options: argparse.Namespace) -> int:
    """Lives of seeds; the lines `totals NAME=COUNT ...` of all jobs are summed, the lines `lived SEED` counted."""
    outputs = jobs.run(jobs.program(), LIES if options.lies else LIVES, options.seeds or 100, options.first, options.jobs)
    lines = [line for output in outputs for line in output.lines]
    for line in lines:
        if line and not line.startswith(NOISE):
            print(line)
    totals: dict[str, int] = {}
    for line in lines:
        if line.startswith("totals "):
            for name, _, count in (pair.partition("=") for pair in line.split()[1:]):
                totals[name] = totals.get(name, 0) + int(count)
    for name, count in totals.items():
        print(f"  {name:<14} {count:>12}")
    lived = sum(line.startswith("lived ") for line in lines)
    failed = sum(output.status != 0 for output in outputs)
    # A script that is played is one life that counts no seed.
    if failed or (lived != (options.seeds or 100) and "TALKBRIDGE_SCRIPT" not in os.environ):
        print(f"simulate: {lived} of {options.seeds or 100} seeds lived, {failed} of {len(outputs)} jobs failed")
        return 1
    seldom = [name for name in SEEN if lived >= MANY and totals.get(name, 0) <= lived]
    if seldom:
        print(f"simulate: {lived} seeds prove little, they saw no more than {lived} of: {', '.join(seldom)}")
        return 1
    return 0


def planted(options: argparse.Namespace) -> int:
    """Lives of seeds with a fault of `tests/simulation/planted.rs`; prints which of them find it."""
    seeds = options.seeds or 100
    outputs = jobs.run(jobs.program("talkbridge/planted"), PLANTED, seeds, options.first, options.jobs, PLANTED=options.planted)
    lines = [line for output in outputs for line in output.lines]
    found = [line for line in lines if line.startswith("seed ")]
    print("\n".join(found))
    lived = sum(line.startswith("lived ") for line in lines)
    print(f"simulate: {lived} of {seeds} seeds lived with {options.planted}, {len(found)} of them find it")
    return 0 if found and lived == seeds else 1


def arguments() -> argparse.Namespace:
    def number(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or not 1 <= int(text) < 10**9:
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number above 0")
        return int(text)

    parser = argparse.ArgumentParser(prog="tools/simulate", description=__doc__)
    parser.add_argument("--seeds", type=number, metavar="N", help="how many (100 lives; of figures as many as they need)")
    parser.add_argument("--from", type=number, default=1, dest="first", metavar="S", help="the first one (1)")
    parser.add_argument("--jobs", type=number, default=os.cpu_count() or 1, metavar="J", help="processes beside each other (one per core)")
    parser.add_argument("--lies", action="store_true", help="seeds of lies instead: one gateway lies to the others in every way and order")
    parser.add_argument("--planted", metavar="WORD", help="a fault to plant (tests/simulation/planted.rs); prints the seeds that find it")
    parser.add_argument("--ladder", action="store_true", help="links from fibre to 30 %% loss, and all figures of each")
    parser.add_argument("--figures", choices=figures.NAMES, metavar="NAME", help=f"one figure over many seeds: {', '.join(figures.NAMES)}")
    parser.add_argument("--json", metavar="FILE", help="where the ladder or the figure goes too")
    options = parser.parse_args()
    if sum(map(bool, (options.planted, options.ladder, options.figures))) > 1:
        parser.error("one of --planted, --ladder, --figures at a time")
    if options.json and not (options.ladder or options.figures):
        parser.error("--json goes with --ladder or --figures")
    return options


def main() -> int:
    options = arguments()
    if options.planted:
        return planted(options)
    if options.ladder or options.figures:
        return figures.run(options.figures or "ladder", options)
    return lives(options)


if __name__ == "__main__":
    sys.exit(main())
