"""Forty prompts written by hand, as a person might put it, for evaluation alone.

None is a sentence of the grammar in `captions.py` and none is trained on (`tests/training/test_captions.py`).
"""

from training.shapes.vocabulary import Combination

FREE_WORDINGS: tuple[tuple[str, Combination], ...] = (
    ("a ball in red rolls to the right", Combination("circle", "red", "right", "black")),
    ("Red circle! Going right. Background should be white.", Combination("circle", "red", "right", "white")),
    ("BLUE SQUARE! UP IT GOES!", Combination("square", "blue", "up", "black")),
    ("I'd like to see a yellow triangle that keeps drifting left", Combination("triangle", "yellow", "left", "black")),
    ("could you animate a purple square falling down?", Combination("square", "purple", "down", "black")),
    ("leftwards, on white, a green disc", Combination("circle", "green", "left", "white")),
    ("Cyan triangle. It does not move at all.", Combination("triangle", "cyan", "still", "black")),
    ("against gray: one blue ball, travelling upwards", Combination("circle", "blue", "up", "gray")),
    ("the square, which is yellow, slides over to the right side", Combination("square", "yellow", "right", "black")),
    ('a red box with "SALE" written on it moves to the left', Combination("square", "red", "left", "black")),
    ("what about a green triangle climbing towards the top?", Combination("triangle", "green", "up", "black")),
    ("purple circle sinking slowly to the bottom of a white page", Combination("circle", "purple", "down", "white")),
    ("White background, cyan square, no movement please", Combination("square", "cyan", "still", "white")),
    (
        "watch how the yellow dot travels from the left all the way to the right",
        Combination("circle", "yellow", "right", "black"),
    ),
    ("gray backdrop and a red triangle on it, heading down", Combination("triangle", "red", "down", "gray")),
    ("Blue triangle goes left left left", Combination("triangle", "blue", "left", "black")),
    ("An upward-moving green square, white behind", Combination("square", "green", "up", "white")),
    ('"Bonjour" says the purple ball while it moves right', Combination("circle", "purple", "right", "black")),
    ("just a still red square, black background", Combination("square", "red", "still", "black")),
    (
        "cyan disc that keeps dropping, further and further down, grey behind",
        Combination("circle", "cyan", "down", "gray"),
    ),
    ("to the left glides, on a white canvas, a yellow block", Combination("square", "yellow", "left", "white")),
    ("there's a purple triangle and it's rising", Combination("triangle", "purple", "up", "black")),
    ("green circle standing perfectly still on grey", Combination("circle", "green", "still", "gray")),
    ("   moving   right   :   blue   square   ", Combination("square", "blue", "right", "black")),
    ("Slowly, a red dot floats up over a white background, nothing more", Combination("circle", "red", "up", "white")),
    ("yellow triangle -> right, background = gray", Combination("triangle", "yellow", "right", "gray")),
    ("My cyan box wanders leftward", Combination("square", "cyan", "left", "black")),
    ("a triangle. green. falling. white backdrop.", Combination("triangle", "green", "down", "white")),
    ('blue disc labelled "Room 7" that stays exactly where it is', Combination("circle", "blue", "still", "black")),
    ("Let a purple box go up, please, on a gray background", Combination("square", "purple", "up", "gray")),
    ("right to left: a cyan ball", Combination("circle", "cyan", "left", "black")),
    ("A TRIANGLE IN RED, RESTING ON A WHITE BACKGROUND", Combination("triangle", "red", "still", "white")),
    ("small yellow circle, gently descending to the lower end", Combination("circle", "yellow", "down", "black")),
    ("see the green block shoot off to the right across a grey field", Combination("square", "green", "right", "gray")),
    (
        "A purple triangle, it goes to the left side; everything behind is black",
        Combination("triangle", "purple", "left", "black"),
    ),
    ("cartoon of a cyan triangle flying upward on white", Combination("triangle", "cyan", "up", "white")),
    ("down comes a blue box", Combination("square", "blue", "down", "black")),
    ("yellow square. static shot. gray wall.", Combination("square", "yellow", "still", "gray")),
    ('the word "STOP" on a red disc moving downward', Combination("circle", "red", "down", "black")),
    (
        "It is white everywhere except for a blue triangle, and this one travels to the right",
        Combination("triangle", "blue", "right", "white"),
    ),
)
