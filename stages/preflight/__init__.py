"""What a stage's program needs on given chips: memory, arithmetic, what chips send each other, time to compile.

A program like a stage's, started by `doit preflight` (stages/commands/preflight.py); it builds on denoise and decode.
"""
