"""Synthesises the sound of each kind and mixes the sound track of a script.

Takes onsets and gives samples in [-1, 1]; a sound begins at its onset and has ended after the
kind's `strike_s`, so that what the truth calls sounding is what can be heard.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from earshot.media.sample.kinds import Kind
from earshot.media.sample.script import Actor, Script

Samples = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
NOISE_RMS = 0.004
FADE_S = 0.03


def _phase(hz: Floats, rate_hz: int) -> Floats:
    return np.asarray(2 * np.pi * np.cumsum(hz) / rate_hz)


def _hump(part: Floats) -> Floats:
    """Half a sine over [0, 1]; rounding must not make the ends negative."""
    return np.asarray(np.maximum(np.sin(np.pi * part), 0))


def _harmonics(phase: Floats, weights: list[float]) -> Floats:
    waves = [weight * np.sin(phase * (at + 1)) for at, weight in enumerate(weights)]
    return np.asarray(np.sum(waves, axis=0))


def bark(t: Floats, rng: np.random.Generator, rate_hz: int) -> Floats:
    """A harsh falling tone with a burst of breath."""
    hz = (620 * rng.uniform(0.93, 1.07)) * (0.55 + 0.45 * np.exp(-t / 0.09))
    voice = np.tanh(2.5 * _harmonics(_phase(hz, rate_hz), [1, 0.8, 0.6, 0.4, 0.25]))
    return (voice + 0.5 * rng.standard_normal(len(t))) * np.minimum(t / 0.008, 1) * np.exp(-t / 0.1)


def meow(t: Floats, rng: np.random.Generator, rate_hz: int) -> Floats:
    """A tone that rises and falls, as if a mouth opened and closed."""
    part = t / t[-1]
    hz = rng.uniform(0.92, 1.08) * (430 + 330 * np.sin(np.pi * part**0.7))
    mouth = _hump(part) ** 0.5
    phase = _phase(hz * (1 + 0.01 * np.sin(2 * np.pi * 6 * t)), rate_hz)
    return (_harmonics(phase, [1, 0.7, 0.5]) + mouth * np.sin(4 * phase)) * mouth


def chirp(t: Floats, rng: np.random.Generator, rate_hz: int) -> Floats:
    """Three quick sweeps, high up."""
    part = (t * 3 / t[-1]) % 1
    hz = rng.uniform(0.92, 1.08) * (2600 + 1500 * part)
    return np.asarray(np.sin(_phase(hz, rate_hz)) * _hump(part) ** 0.7)


def croak(t: Floats, rng: np.random.Generator, rate_hz: int) -> Floats:
    """A low rattle: a tone in forty pulses a second."""
    pulses = (1 - (t * rng.uniform(36, 44)) % 1) ** 3
    tone = _harmonics(_phase(np.full(len(t), 330.0), rate_hz), [0.6, 1, 0.7, 0.5])
    return np.asarray(tone * pulses * _hump(t / t[-1]) ** 0.5)


def thump(t: Floats, rng: np.random.Generator, rate_hz: int) -> Floats:
    """A drum: a falling low tone, the membrane above it, the click of the stick."""
    low = np.sin(_phase(95 + 120 * np.exp(-t / 0.02), rate_hz)) * np.exp(-t / 0.07)
    skin = np.sin(2 * np.pi * 330 * t) * np.exp(-t / 0.05)
    return np.asarray(low + 0.5 * skin + rng.standard_normal(len(t)) * np.exp(-t / 0.02))


def toll(t: Floats, rng: np.random.Generator, rate_hz: int) -> Floats:  # noqa: ARG001
    """A bell: partials that are no multiples of one tone, the high ones dying first."""
    partials = (
        (0.5, 0.5),
        (1.0, 1.0),
        (1.19, 0.8),
        (1.5, 0.5),
        (2.0, 0.7),
        (2.74, 0.4),
        (3.9, 0.3),
    )
    base_hz = 587 * rng.uniform(0.99, 1.01)
    waves = [w * np.sin(2 * np.pi * base_hz * r * t) * np.exp(-t * r / 0.7) for r, w in partials]
    return np.asarray(np.sum(waves, axis=0) * np.minimum(t / 0.003, 1))


def strum(t: Floats, rng: np.random.Generator, rate_hz: int) -> Floats:  # noqa: ARG001
    """A chord of plucked strings, one a few milliseconds behind the other."""
    chord = ((82.4, 123.5, 164.8, 207.7, 246.9), (110.0, 164.8, 220.0, 277.2, 329.6))
    out = np.zeros(len(t))
    for at, hz in enumerate(chord[int(rng.integers(2))]):
        since = np.maximum(t - 0.012 * at, 0)
        for partial in range(1, 7):
            fall = np.exp(-since * (1.5 + partial * 1.2))
            out += np.sin(2 * np.pi * hz * partial * since) * fall / partial
    return out


def rev(t: Floats, rng: np.random.Generator, rate_hz: int) -> Floats:
    """An engine that speeds up and slows down."""
    arc = _hump(t / t[-1])
    phase = _phase(rng.uniform(0.95, 1.05) * (55 + 95 * arc), rate_hz)
    engine = np.tanh(2 * _harmonics(phase, [1, 0.9, 0.5, 0.7, 0.3, 0.5, 0.2, 0.3]))
    return np.asarray((engine + 0.25 * rng.standard_normal(len(t))) * arc**0.5)


def ring(t: Floats, rng: np.random.Generator, rate_hz: int) -> Floats:  # noqa: ARG001
    """Two small gongs struck in turn, twenty-two times a second."""
    high = (t * 22) % 1 < 0.5
    tone = np.where(high, np.sin(2 * np.pi * 1370 * t), np.sin(2 * np.pi * 1090 * t))
    return np.asarray((tone + 0.4 * np.sin(2 * np.pi * 2740 * t)) * (1 - 0.6 * ((t * 44) % 1)))


def beep(t: Floats, rng: np.random.Generator, rate_hz: int) -> Floats:
    """Two square tones of a five-note scale."""
    notes = 440 * 2 ** (rng.choice([0, 2, 4, 7, 9, 12], 2) / 12)
    hz = np.where(t < t[-1] / 2, notes[0], notes[1])
    return np.asarray(np.tanh(4 * np.sin(_phase(hz, rate_hz))))


def wail(t: Floats, rng: np.random.Generator, rate_hz: int) -> Floats:  # noqa: ARG001
    """A siren: up and down once."""
    hz = 620 + 480 * np.sin(np.pi * t / t[-1])
    return _harmonics(_phase(hz, rate_hz), [1, 0.5, 0.3])


def rumble(t: Floats, rng: np.random.Generator, rate_hz: int) -> Floats:
    """Thunder: low noise that rolls."""
    spectrum = np.fft.rfft(rng.standard_normal(len(t)))
    hz = np.fft.rfftfreq(len(t), 1 / rate_hz)
    noise = np.fft.irfft(spectrum / (1 + (hz / 180) ** 2), len(t))
    return np.asarray(noise * (0.55 + 0.45 * np.sin(2 * np.pi * 3.1 * t)) * np.minimum(t / 0.05, 1))


def whistle(t: Floats, rng: np.random.Generator, rate_hz: int) -> Floats:  # noqa: ARG001
    """A steam whistle: three tones and steam."""
    tones = sum(np.sin(2 * np.pi * hz * t) for hz in (523.0, 622.0, 740.0))
    steam = 0.3 * rng.standard_normal(len(t))
    return np.asarray((tones + steam) * np.minimum(t / 0.06, 1))


def thrum(t: Floats, rng: np.random.Generator, rate_hz: int) -> Floats:
    """A helicopter: noise chopped fourteen times a second."""
    chop = (1 - (t * 14) % 1) ** 2
    tone = _harmonics(_phase(np.full(len(t), 84.0), rate_hz), [1, 0.7, 0.5, 0.3])
    return np.asarray((rng.standard_normal(len(t)) + tone) * (0.25 + chop))


VOICES: dict[str, Callable[[Floats, np.random.Generator, int], Floats]] = {
    "dog": bark,
    "cat": meow,
    "bird": chirp,
    "frog": croak,
    "drum": thump,
    "bell": toll,
    "guitar": strum,
    "car": rev,
    "phone": ring,
    "robot": beep,
    "siren": wail,
    "thunder": rumble,
    "train": whistle,
    "helicopter": thrum,
}


def voice(kind: Kind, rng: np.random.Generator, rate_hz: int) -> Samples:
    """Return one sound of a kind, (round(strike_s * rate_hz),), with an RMS of about 0.2."""
    t = np.arange(round(kind.strike_s * rate_hz)) / rate_hz
    wave = VOICES[kind.name](t, rng, rate_hz)
    wave = wave * np.clip((t[-1] - t) / FADE_S, 0, 1)
    loud = wave * (0.2 / np.sqrt(np.mean(wave**2)))
    return np.asarray(np.tanh(loud), dtype=np.float32)


def _gains(actor: Actor, onset_s: float, channels: int) -> npt.NDArray[np.float32]:
    """Loudness a channel, equal power, from where the actor stands when it sounds."""
    if channels == 1:
        return np.ones(1, dtype=np.float32)
    x = float(actor.x_at(np.array([onset_s]))[0]) if actor.is_seen else 1.0
    angle = (0.15 + 0.7 * min(max(x, 0.0), 1.0)) * np.pi / 2
    return np.array([np.cos(angle), np.sin(angle)], dtype=np.float32) * np.float32(2**0.5)


def _hiss(n_samples: int, channels: int, rng: np.random.Generator) -> Samples:
    """The noise of a quiet place, softer towards high frequencies: (channels, n_samples)."""
    noise = rng.standard_normal((channels, n_samples + 3)).astype(np.float32)
    soft = noise[:, :-3] + noise[:, 1:-2] + noise[:, 2:-1] + noise[:, 3:]
    return np.asarray(soft * (NOISE_RMS / 2), dtype=np.float32)


def sound_track(script: Script, rng: np.random.Generator) -> Samples:
    """Return the sound track, (channels, samples) float32, exactly as long as the picture.

    A silent script gives zeros; every other has a little noise all along.
    """
    rate_hz, channels = script.rate_hz, script.channels
    n_samples = round(script.duration_s * rate_hz)
    if script.is_silent:
        return np.zeros((channels, n_samples), dtype=np.float32)
    track = _hiss(n_samples, channels, rng)
    for actor in script.scene.actors:
        for onset_s in actor.strikes:
            wave = voice(actor.kind, rng, rate_hz)
            start = round(onset_s * rate_hz)
            end = min(start + len(wave), n_samples)
            track[:, start:end] += _gains(actor, onset_s, channels)[:, None] * wave[: end - start]
    return np.asarray(np.clip(track, -0.98, 0.98), dtype=np.float32)
