"""The renderer behind `vepe synth`: labelled video of synthetic people, see docs/synth.md."""
