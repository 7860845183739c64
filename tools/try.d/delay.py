"""Mouth to ear: beeps into the microphone of one window, and when they leave the loudspeaker of another across a border.

Mouth and ear are the two channels of one sound card, so one recording holds both on one clock. Both windows record when the
onset passed their device callbacks; what lies between those two is ours, the rest is the sound server's. Standard library only.
"""

import asyncio
from pathlib import Path

from beeps import BEEP_S, BEEPS, HZ, PAUSE_S, Delays, beeps, channels, onsets, pairs, write
from gallery import Gallery
from terminal import Terminal


async def measure(gallery: Gallery, talker: Terminal, listener: Terminal, folder: Path) -> Delays:
    """Both windows run; the talker's key is pressed for as long as it takes."""
    desk = gallery.desk
    wav, spoken = folder / "delay.wav", folder / "beeps.wav"
    write(spoken, beeps())
    seconds = BEEPS * (BEEP_S + PAUSE_S) + 1.5
    await talker.press()
    recorder = await desk.stage.start("parec", *raw("card.monitor"), "--file-format=wav", wav, env=desk.environment)
    await asyncio.sleep(0.8)
    before = (len(talker.events), len(listener.events))
    voice = await desk.stage.start("paplay", "--device=mouth", spoken, env=desk.environment)
    await asyncio.wait_for(voice.wait(), seconds + 5.0)
    await asyncio.sleep(0.7)
    recorder.terminate()
    await recorder.wait()
    await talker.release()
    mouths = [event["at_ms"] for event in talker.events[before[0] :] if event["event"] == "mouth"]
    ears = [event["at_ms"] for event in listener.events[before[1] :] if event["event"] == "ear"]
    left, right = channels(wav)
    return Delays(pairs(onsets(left), onsets(right)), pairs(mouths, ears), BEEPS)


def raw(device: str) -> tuple[str, ...]:
    """How the card is recorded."""
    return (f"--device={device}", f"--rate={HZ}", "--channels=2", "--format=s16le", "--latency-msec=20")
