"""The words of the captions: alternatives for each slot of the grammar in `captions.py`.

A slot's alternatives are separated by "|"; {name} stands for another slot; an empty alternative leaves the slot out,
and an alternative that stands there twice is drawn twice as often.
"""

COMMON = {
    "a": "a|a|the|one|||",
    "size": "||||||||small|big|little|large|bright|plain|simple|solid|single|lone|flat|nice|filled|tiny|huge",
    "tinted": "{color}|{color}|{color}|{color}|{color} colored|{color} coloured|{color} -colored",
    "thing": "{size} {tinted} {noun}|{tinted} {size} {noun}|{tinted} {noun}",
    "of_color": "of {color} color|colored {color}|painted {color}|in the color {color}|{color} in color",
    "subject": (
        "{a} {thing} {glyph}|{a} {thing} {glyph}|{a} {thing} {glyph}|{a} {thing}"
        "|{a} {size} {noun} {of_color} {glyph}"
        "|{a} {noun} {of_color}|{a} {noun} that is {color}|{a} {noun} , {color} ,"
        "|{a} {noun} which is {color} {glyph}"
        "|something {color} and {noun}|{a} {color} one , {a} {noun} ,"
    ),
    "lead": (
        "||||||||||a video of|video of|a clip of|an animation of|a movie of|a film of|footage of"
        "|a shot of|a scene with"
        "|show|show me|make|draw|please show|i want|we see|you see|there is|here is|watch|look ,"
        "|imagine|picture"
        "|generate|create|give me|video :|this is|a short video of|in this video ,|the video shows"
    ),
    "how": (
        "||||||||slowly|smoothly|steadily|gently|quickly|calmly|quietly|simply|just|always|evenly|straight|lazily|fast"
    ),
    "where": "|||||||across the screen|across the frame|across the picture|through the scene|in the video|all the time",
    "stop": "||.|.|!",
    "go": "moves|moves|moves|goes|glides|rolls|slides|travels|drifts|heads|floats|runs|flies|shifts|passes|sails|slips",
    "go_on": "move|go|glide|roll|slide|travel|drift|head|float|run|fly|shift|pass|sail|slip",
    "going": (
        "moving|moving|moving|going|gliding|rolling|sliding|traveling|travelling|drifting|heading"
        "|floating|running"
        "|flying|shifting|passing|sailing|slipping"
    ),
    "gone": "moved|pushed|pulled|carried|dragged|sent|taken",
    "plain": "|||plain |solid |uniform |flat |simple |pure |all ",
    "backdrop": (
        "background|background|background|background|backdrop|canvas|screen|wall|scene|ground|surface|field|board|back"
    ),
    "glyph": "||||||||||||with {quote} on it|{quote}|with the word {quote}|labelled {quote}"
    "|labeled {quote}|called {quote}"
    "|named {quote}|saying {quote}|reading {quote}|with the text {quote}|that says {quote}"
    "|marked {quote}|and {quote}",
    "quote": '"{quoted}"|"{quoted}"|“{quoted}”',
}

NOUNS = {
    "circle": "circle|circle|circle|disc|disk|ball|dot|round shape|circular shape|round thing|sphere|round",
    "square": "square|square|square|box|block|cube|square shape|square block|tile",
    "triangle": "triangle|triangle|triangle|triangular shape|triangle shape|pyramid|wedge",
}

SIDES = {
    "right": (
        "right|right|to the right|to the right|to the right|rightward|rightwards|toward the right"
        "|towards the right"
        "|to the right side|to the right edge|from left to right|from the left to the right|over to the right"
        "|from the left side to the right side|off to the right|in the right direction"
        "|to the right of the {picture}"
        "|right across the {picture}|to the right hand side|toward the right edge of the {picture}"
    ),
    "left": (
        "left|left|to the left|to the left|to the left|leftward|leftwards|toward the left|towards the left"
        "|to the left side|to the left edge|from right to left|from the right to the left|over to the left"
        "|from the right side to the left side|off to the left|in the left direction"
        "|to the left of the {picture}"
        "|left across the {picture}|to the left hand side|toward the left edge of the {picture}"
    ),
    "up": (
        "up|up|upward|upward|upwards|upwards|to the top|toward the top|towards the top"
        "|from bottom to top|straight up"
        "|from the bottom to the top|from below to above|up the {picture}|to the top of the {picture}"
        "|up and up"
        "|to the upper edge|in the upward direction|toward the upper side|up into the air"
    ),
    "down": (
        "down|down|downward|downward|downwards|downwards|to the bottom|toward the bottom|towards the bottom"
        "|from top to bottom|straight down|from the top to the bottom|from above to below|down the {picture}"
        "|to the bottom of the {picture}|down and down|to the lower edge|in the downward direction"
        "|toward the lower side|down to the ground"
    ),
}
PICTURE = "screen|frame|picture|image|video|scene"

OWN_VERBS = {  # finite, infinitive, participle: verbs that need no side
    "up": ("rises|climbs|ascends|lifts|soars", "rise|climb|ascend|lift|soar", "rising|climbing|ascending|lifting"),
    "down": ("falls|drops|sinks|descends|dives", "fall|drop|sink|descend|dive", "falling|dropping|sinking|descending"),
}
STILL = {
    "moves": (
        "stays still|stays still|rests|does not move|does not move|doesn't move|is motionless"
        "|sits still|stands still"
        "|remains in place|stays in place|is not moving|isn't moving|holds still|is stationary"
        "|is at rest|is still"
        "|stays where it is|is static|keeps still|never moves|stays put|remains still|just sits there"
        "|stands in place"
        "|rests in the middle|stays in the center|is resting|has no motion|sits in the middle|stops"
        "|hangs still"
    ),
    "move": "stay still|rest|not move|stand still|stay in place|sit still|keep still|stay put|be still|remain still",
    "moving": (
        "staying still|resting|not moving|standing still|sitting still|motionless|without moving"
        "|at rest|stationary"
        "|still|holding still|remaining still|staying in place|static|that does not move|without any motion"
        "|which stays still|fixed in place|standing in the middle|without movement|unmoving"
    ),
    "described": "still|motionless|static|resting|stationary|unmoving|non moving|fixed",
    "tag": "still|static|motionless|no motion|no movement|at rest|not moving|stationary|resting",
    "inverted": "still stands|motionless sits|here rests|in place stays|without moving , there sits"
    "|in the middle rests",
}

GROUNDS = {
    "end": (
        "on {ground}|on {ground}|on a {plain}{ground} {backdrop}|on a {plain}{ground} {backdrop}"
        "|on {ground} {backdrop}"
        "|on the {ground} {backdrop}|against a {plain}{ground} {backdrop}|against {ground}"
        "|against the {ground} {backdrop}"
        "|over a {ground} {backdrop}|over {ground}|in front of a {plain}{ground} {backdrop}"
        "|in front of {ground}"
        "|with a {plain}{ground} {backdrop}|with {ground} behind it|before a {ground} {backdrop}"
        "|, {ground} {backdrop}"
        "|. the {backdrop} is {ground}|, the {backdrop} is {ground}|while the {backdrop} is {ground}"
        "|, {backdrop} {ground}"
        "|and the {backdrop} is {plain}{ground}|where the {backdrop} is {ground}|in a {ground} room"
        "|in a {ground} space"
        "|; {backdrop} : {ground}|, all {ground} behind|across a {ground} {backdrop}|across {ground}"
        "|( {ground} {backdrop} )"
    ),
    "start": (
        "on {ground}|on {ground} ,|on a {plain}{ground} {backdrop}|on a {plain}{ground} {backdrop} ,"
        "|{ground} {backdrop} ,"
        "|against a {ground} {backdrop}|against {ground} ,|over a {ground} {backdrop} ,"
        "|in front of a {ground} {backdrop} ,"
        "|{ground} {backdrop} :|{backdrop} {ground} ,|the {backdrop} is {ground} and"
        "|a {ground} {backdrop} with"
        "|the {ground} {backdrop} has|a {plain}{ground} {backdrop} and|with a {ground} {backdrop} ,"
        "|{plain}{ground} {backdrop} ."
    ),
    "tag": "on {ground}|{ground} background|{ground}|{ground} backdrop|background {ground}|over {ground}",
}

QUOTED = (
    "HELLO|hello|Hi|GO|STOP|YES|no|OK|A|B|7|42|2026|Anna|Tom|Max|SALE|OPEN|Closed|EXIT|Welcome|LOVE"
    "|Paris|Tokyo|NEWS"
    "|Music|START|END|Top 10|WOW|boom|Joy|peace|Happy Birthday|Good morning|Coffee|TAXI|HOTEL|Mr. X|ABC"
    "|xyz|Zoo|Game"
)
NOISE = (
    "very|quite|really|please|today|now|then|again|also|only|maybe|some|any|my|our|your|this|that|these"
    "|it|its|and|but"
    "|or|so|as|like|for|by|at|with|in|of|an|the|from|here|there|where|while|as if|against|inside"
    "|outside|near|beside"
    "|nice|good|great|cool|pretty|beautiful|clean|clear|soft|sharp|smooth|new|old|happy|quiet|funny"
    "|modern|minimal"
    "|geometric|object|figure|form|thing|toy|paper|glass|metal|wooden|plastic|shiny|matte|animated"
    "|cartoon|style|frame"
    "|camera|view|loop|seamless|short|long|second|seconds|minute|time|morning|city|house|table|floor"
    "|desk|street|game"
    "|logo|icon|symbol|graphic|design|art|drawing|sketch|painting|photo|movie|clip|film|shows|showing"
    "|seen|appears"
    "|looks|gets|makes|has|having|being|been|will|can|should|must|let|lets|want|need|keep|keeps"
    "|makes its way|way|path"
    "|speed|pace|steady|gentle|slow|quick|little by little|at a time|whole|entire|half|edge|side|middle"
    "|center|centre"
    "|corner|distance|world|empty|nothing else|alone|everything|quality|hd|4k|high|detailed|realistic"
    "|simple|basic"
)
