"""Short stories from a plot grammar: an opening, the hero's nature, one of the plots (4 or 5 beats), an ending.

Every beat has several wordings, every plot works for every hero, so the number of different stories is far above what
training sees. `story()` returns the text with its facts (names, place, plot), for requests and for follow-up questions.
"""
from base import *

HOMES = {
    "dragon": "a [warm|deep|big] cave [in the mountains|on a high mountain|behind a waterfall]", "cat": "a [small|cosy|yellow] house [by the sea|near the market|at the end of the street]",
    "dog": "a [farm|little house] [near the river|on a hill|with a big garden]", "mouse": "a [tiny hole|small hole] [under the stairs|behind the kitchen|in an old wall]",
    "rabbit": "a [soft|snug] burrow [under a hill|at the edge of the woods|in a green meadow]", "fox": "a den [in the forest|under an old oak|near the stream]",
    "bear": "a [cave|den] [in the forest|deep in the woods|near the river]", "owl": "a hollow [oak|tree] [in the forest|on the hill]", "lion": "[the wide grassland|a golden plain|the warm savanna]",
    "frog": "a [green|quiet|small] pond [behind the mill|in the meadow]", "duck": "[a pond|a lake] [near the farm|in the park]", "hen": "a [red barn|little farm] [near the village|on a hill]",
    "wolf": "[the dark forest|the snowy mountains|a den under the pines]", "elephant": "[the green jungle|the wide grassland|a valley full of tall trees]", "monkey": "[the green jungle|a tall tree in the jungle]",
    "penguin": "[a land of ice and snow|an icy island in the south]", "dolphin": "[the warm blue sea|a quiet blue bay]", "whale": "[the deep blue sea|the cold blue ocean]", "tiger": "[the green jungle|a bamboo forest]",
    "bee": "a [busy|golden] hive [in the orchard|near the flowers]", "ant": "a [small|busy] ant hill [in the garden|under a stone]", "butterfly": "a garden full of [roses|flowers|daisies]",
    "snail": "a [quiet|green] garden", "spider": "a [corner of the attic|quiet corner of the barn]", "crab": "a [sandy beach|rock pool by the sea]", "turtle": "[a pond|a small lake] [near the forest|in the park]",
    "squirrel": "a tall [oak|pine] tree [in the park|in the forest]", "hedgehog": "a pile of leaves [in the garden|under the hedge]", "horse": "a [stable|farm] [near the village|in a green valley]", "pig": "a [muddy|small|happy] farm",
    "sheep": "a green hill [near the village|above the farm]", "goat": "[a rocky mountain|a farm on a steep hill]", "unicorn": "[a silver forest|a hidden valley]", "robot": "[a workshop|a big city|a busy factory|a house on a hill]",
    "ghost": "an old [castle|house] [on a hill|near the village]", "witch": "a crooked [house|hut] [in the woods|in the swamp]", "wizard": "a tall [tower|stone tower] [by the sea|in the woods]",
    "knight": "a [stone|grey|small] castle", "princess": "a [white|big|golden] castle", "prince": "a [white|big|golden] castle", "queen": "a [white|big|golden] castle", "king": "a [white|big|golden] castle",
    "pirate": "an old [ship|wooden ship] [on the wide sea|with red sails]", "giant": "[a huge house on a mountain|a valley behind the mountains]", "fairy": "a [flower|tiny house] [in the forest|in the meadow]",
    "monster": "[a cave near the village|an old well|a dark wood]", "dinosaur": "[a land of tall ferns|a warm valley a very long time ago]", "astronaut": "[a small space station|a town near the rocket base]",
    "sailor": "a [small|white] boat", "clown": "a [colourful|small] circus", "cowboy": "a [dusty|small] ranch", "snowman": "a [snowy|white] garden", "toy": "a box in [a child's room|the nursery]", "teddy bear": "a soft bed [in a child's room|near the window]",
    "train": "a [little|busy|country] station", "car": "a [small|tidy|red] garage", "tree": "[a quiet hill|the middle of a park]", "cloud": "the wide blue sky", "star": "the night sky", "moon": "the night sky", "fish": "[a clear river|the blue sea]",
    "whale": "the deep blue sea", "parrot": "[the green jungle|a sunny island]", "bird": "a nest in [an apple tree|a tall tree]", "kitten": "a basket in [the kitchen|a warm house]", "puppy": "a [kennel|cosy house] [near the park|with a big garden]",
    "bat": "[a dark cave|an old tower]", "seal": "[a rocky shore|an icy beach]", "donkey": "a [small|dusty] farm", "cow": "a farm [near the village|in a green valley]", "deer": "[the quiet forest|a forest near a lake]", "otter": "the bank of a [clear|wide] river",
}
HUMAN = "boy girl farmer baker teacher sailor painter inventor clown cowboy knight princess prince queen king pirate wizard witch astronaut doctor nurse musician gardener grandmother grandfather fisherman shepherd student dancer singer soldier detective".split()
HUMAN_HOME = "a [small|quiet|pretty|busy] [village|town] [by the sea|near the forest|on a hill|in the mountains|by a river]"
SHE = set("girl princess queen witch hen cow grandmother fairy mermaid nurse".split())
HE = set("boy prince king wizard grandfather fisherman cowboy snowman clown".split())
NOUNS = sorted(set(HOMES) | set(HUMAN) | {"mermaid", "elf", "dwarf"})
FRIENDS = "mouse rabbit fox bear owl frog duck squirrel hedgehog turtle bird dog cat horse goat sheep bee butterfly snail fish deer otter".split()

NATURE = {
    "brave": ["{H} was not afraid of [anything|the dark|storms or shadows].", "Everyone knew that {H} was very brave.", "Even [thunder|the darkest night] did not scare {H}."],
    "little": ["{H} was very small, but {he} had a big heart.", "{H} was so little that {he} could hide [behind a flower pot|in a boot]."],
    "small": ["{H} was small, but {he} had big dreams.", "{H} was small enough to [hide in a hat|sleep in a shoe]."],
    "big": ["{H} was so big that the ground shook when {he} [jumped|ran].", "{H} was big and strong, but always gentle."],
    "lonely": ["{H} had no friends, and {he} often felt sad.", "Every evening {H} sat alone and wished for a friend."],
    "sad": ["{H} was sad, and nobody knew why.", "{H} had forgotten how to smile."],
    "happy": ["{H} smiled all day long.", "{H} [sang|hummed a song] every morning because {he} was so happy."],
    "clever": ["{H} could solve any [riddle|puzzle].", "{H} always had a good idea."],
    "smart": ["{H} knew the answer to almost every question.", "{H} loved to [think|solve puzzles]."],
    "lazy": ["{H} liked to sleep until noon.", "{H} never wanted to do any work."],
    "kind": ["{H} always helped others.", "{H} shared everything {he} had."],
    "shy": ["{H} was so shy that {he} [hid|blushed] when somebody said hello.", "{H} was shy and spoke in a very quiet voice."],
    "old": ["{H} was old and had seen many winters.", "{H} was old and knew many stories."],
    "young": ["{H} was young and wanted to see the world.", "{H} was still young and had much to learn."],
    "hungry": ["{H} was always hungry.", "{H} thought about [food|pancakes|soup] all day long."],
    "greedy": ["{H} wanted to have everything for {himself}.", "{H} never shared anything."],
    "curious": ["{H} asked questions all day long.", "{H} wanted to know everything."],
    "funny": ["{H} told jokes and made everyone laugh.", "{H} could make the funniest faces in the land."],
    "grumpy": ["{H} grumbled all day long.", "{H} did not like noise, rain or visitors."],
    "magic": ["{H} could do a little magic.", "{H} had a magic secret: {he} could make light with a word."],
    "magical": ["{H} could do a little magic.", "When {H} laughed, [flowers grew|small stars danced in the air]."],
    "red": ["{H} was as red as a ripe [apple|cherry].", "{H} was the only red {noun} in the land."],
    "blue": ["{H} was as blue as the summer sky.", "{H} was the only blue {noun} in the land."],
    "green": ["{H} was as green as fresh grass.", "{H} was the only green {noun} in the land."],
    "golden": ["{H} was golden and shone like the sun.", "In the morning light {H} shone like gold."],
    "purple": ["{H} was purple from head to toe.", "{H} was the only purple {noun} in the land."],
    "white": ["{H} was as white as snow.", "{H} was the only white {noun} in the land."],
    "black": ["{H} was as black as the night.", "{H} was hard to see at night, because {he} was all black."],
    "tiny": ["{H} was so tiny that nobody noticed {him}.", "{H} was tiny, no bigger than a [spoon|cup]."],
    "strong": ["{H} could lift [a cart|a big rock] with ease.", "{H} was the strongest {noun} for miles around."],
    "scared": ["{H} was scared of the dark.", "{H} was afraid of almost everything."],
    "poor": ["{H} had only one coin and an old coat.", "{H} did not have much, but {he} never complained."],
    "rich": ["{H} had a chest full of gold, but {he} was not happy.", "{H} had everything except a friend."],
    "wise": ["Many came to {H} for advice.", "{H} thought long before {he} spoke."],
    "silly": ["{H} wore a [sock|pot] on {his} head and laughed about it.", "{H} did silly things all day."],
    "friendly": ["{H} said hello to everyone.", "{H} had a smile for everybody."],
    "tired": ["{H} was always tired and yawned all day.", "{H} wanted nothing more than a good sleep."],
    "fast": ["{H} was faster than the wind.", "Nobody could run as fast as {H}."],
    "slow": ["{H} was slow, but {he} never gave up.", "{H} was the slowest {noun} of all."],
    "proud": ["{H} thought that {he} was better than everyone else.", "{H} was very proud and never asked for help."],
    "angry": ["{H} got angry about every little thing.", "{H} stamped and shouted when things went wrong."],
    "lost": ["{H} had walked too far and did not know the way home.", "{H} was lost and did not know where to go."],
    "beautiful": ["Everyone stopped to look when {H} came by.", "{H} was beautiful, but {he} wanted to be useful too."],
    "pink": ["{H} was pink from head to toe.", "{H} was the only pink {noun} in the land."],
    "fat": ["{H} was round and loved to eat.", "{H} was round like a ball and very jolly."],
    "evil": ["{H} liked to play mean tricks on everyone.", "Nobody liked {H}, because {he} was mean."],
    "mean": ["{H} was rude to everyone.", "Nobody wanted to play with {H}, because {he} was mean."],
    "friendless": ["{H} had no friends at all."], "gentle": ["{H} would not hurt a fly.", "{H} had a soft voice and a gentle heart."],
    "new": ["{H} was new and did not know anyone yet."], "flying": ["{H} could fly higher than the [trees|clouds]."], "talking": ["{H} could talk, and {he} talked all day.", "{H} could speak, and that surprised everyone."],
    "dancing": ["{H} danced all day and never got tired."], "singing": ["{H} sang so well that even the birds listened."], "invisible": ["Nobody could see {H}, and that made {him} lonely."],
    "sleepy": ["{H} yawned all day long.", "{H} could fall asleep anywhere."], "clumsy": ["{H} always tripped over {his} own feet.", "{H} broke a cup almost every day."],
    "busy": ["{H} worked from morning to night."], "honest": ["{H} never told a lie."], "famous": ["Everyone in the land knew the name {H}."], "noisy": ["{H} was so noisy that nobody could sleep."], "quiet": ["{H} spoke little, but {he} listened well."],
}
ADJ = sorted(NATURE)
OBJECTS = {"key": "golden|silver|rusty|tiny", "map": "old|yellow|secret", "lantern": "bright|small|old", "bell": "silver|little|golden", "book": "old|thick|magic", "ring": "golden|silver|magic", "hat": "red|pointy|tall", "kite": "red|blue|paper",
           "boat": "little|paper|wooden", "drum": "small|red|noisy", "flute": "wooden|silver", "stone": "shiny|blue|smooth", "shell": "white|pink|big", "feather": "long|golden|soft", "box": "wooden|little|locked", "cake": "big|chocolate|sweet",
           "apple": "red|golden|juicy", "umbrella": "yellow|red", "mirror": "round|magic", "scarf": "warm|red|long", "clock": "old|little", "coin": "golden|silver", "seed": "tiny|magic", "balloon": "red|blue|big", "crown": "golden|lost", "ball": "red|bouncy|blue",
           "sword": "shiny|wooden|old", "violin": "small|old", "egg": "big|blue|spotted", "flower": "blue|white|rare", "pencil": "magic|red", "spoon": "silver|wooden", "letter": "secret|long", "candle": "small|white", "bicycle": "red|old"}
PLACES_S = {"forest": "in the forest", "castle": "in an old castle", "beach": "at the beach", "moon": "on the moon", "jungle": "in the jungle", "city": "in a big city", "island": "on a small island", "farm": "on a farm", "desert": "in the desert", "mountains": "in the mountains",
            "garden": "in a garden", "space": "in space", "school": "at a school", "village": "in a little village", "sea": "by the sea", "snow": "in the snow", "cave": "in a deep cave", "river": "by a wide river", "circus": "at a circus", "market": "at a market", "library": "in a library", "zoo": "at a zoo"}

OPEN = ["Once upon a time there was {an_h} named {H}. {He} lived in {home}.", "Once there was {an_h} called {H} who lived in {home}.", "There once was {an_h} named {H}. {He} lived in {home}.",
        "Long ago, {an_h} named {H} lived in {home}.", "In {home} there lived {an_h} named {H}.", "{H} was {an_h} who lived in {home}.", "Once upon a time, {an_h} named {H} lived in {home}.", "This is the story of {H}, {an_h} who lived in {home}."]
OPEN_P = ["Once upon a time, {place}, there lived {an_h} named {H}.", "{Place} there once lived {an_h} called {H}.", "Once there was {an_h} named {H} who lived {place}.", "Long ago, {an_h} called {H} lived {place}."]
DAY = "[One day|One morning|One sunny morning|One windy day|One cold evening|One bright day|One rainy afternoon]"

# Each plot: theme, then beats; each beat a list of wordings.
PLOTS = {
    "lost": ("helping others", [
        [DAY + " {H} heard a quiet cry behind a [bush|rock|fence]. It was {F}, a young {f}.", DAY + " {H} met {F}, a little {f}, who was sitting by the path and crying.", DAY + " a young {f} named {F} came along with tears in {fhis} eyes."],
        ['"I am lost," said {F}. "I can not find my way home."', '"What is wrong?" asked {H}. "I have lost my way," said {F}, "and soon it will be dark."'],
        ['"Do not worry," said {H}. "[We will find it together|I will help you]." They walked [over the hill|along the stream|through the tall grass] and looked everywhere.', '{H} took {F} by the hand. "Come with me," {he} said. They asked [a wise old owl|a friendly farmer|the birds], who showed them the way.'],
        ["At last they saw [a light in a window|a little house|smoke above the trees]. {F}'s mother ran out and hugged them both.", "Just before dark they found the right [path|place], and {F}'s family was so happy that they [danced|cheered]."],
    ]),
    "egg": ("caring", [
        [DAY + " {H} found a [big|blue|spotted] egg in the [grass|sand|leaves]. There was nobody near it.", DAY + " {H} saw a strange egg lying all alone under a [tree|bush]."],
        ["{H} kept it warm [day and night|with a blanket|all through the night] and sang to it.", "The egg was cold, so {H} wrapped it in {his} [scarf|blanket] and waited."],
        ["After [three|five|seven] days there was a crack, and a tiny {f} looked out. {H} named it {F}.", "Then it went crack! Out came a little {f}. \"Hello, {F}!\" said {H}."],
        ["{F} followed {H} everywhere, and {H} taught {fhim} how to [play|find food|be brave].", "{H} and {F} played every day, and {H} never felt alone again."],
    ]),
    "storm": ("courage", [
        [DAY + " a great storm came. The wind howled and the rain fell hard.", "Then one night a terrible storm shook the land."],
        ['{H} heard somebody call for help. {F} the {f} was stuck [on a rock in the river|under a fallen tree|high up in a tree].', '"Help! Help!" cried a voice. It was {F} the {f}, who was [caught in the flood|trapped under a branch].'],
        ["{H} was [afraid|scared], but {he} ran out into the rain. {He} threw a rope and pulled with all {his} might.", "{H} did not wait. {He} [ran|hurried] through the wind, held on tight, and pulled {F} to safety."],
        ['"You saved me!" said {F}. "You are the bravest {noun} I know."', '"Thank you," said {F}, still shaking. {H} gave {fhim} warm [soup|tea] and a dry blanket.'],
    ]),
    "treasure": ("friendship", [
        [DAY + " {H} found {an_obj} [in the sand|under a stone|in an old box]. It was part of a secret.", DAY + " {H} found {an_obj} that pointed the way to a treasure."],
        ["{H} asked {his} friend {F} the {f} to come along. Together they [crossed a river|climbed a hill|walked for three days].", 'A {f} named {F} wanted to come too. "Two are better than one," said {F}, and off they went.'],
        ["The way was hard. They got [wet|tired|hungry], but they helped each other.", "At night they were cold, so they told each other stories by the fire."],
        ["At last they found the chest. Inside there was no gold, only a note: \"The real treasure is a good friend.\" They laughed and hugged.", "Under an old tree they found a chest full of [gold coins|shining stones]. They shared it with the whole village."],
    ]),
    "learn": ("not giving up", [
        ["More than anything, {H} wanted to learn how to {dream}.", "{H} had one big dream: {he} wanted to {dream}.", "Every day {H} thought of only one thing: {he} wanted to {dream}."],
        ["The first time, {H} fell down. Everyone laughed, and {H} wanted to give up.", "{H} tried and tried, but it did not work. {He} was close to tears."],
        ['Then {F} the {f} said, "Everyone falls at first. Try a little every day."', 'A kind {f} named {F} said, "I will show you. Start slowly, and do not give up."'],
        ["So {H} practised every morning. Each day it went a little better.", "{H} practised in the sun and in the rain, and slowly {he} got better."],
        ["In the end {H} could do it, and everyone [clapped|cheered]. {F} cheered loudest of all.", "One day it worked! {H} was so happy that {he} [jumped|laughed] for joy."],
    ]),
    "share": ("sharing", [
        [DAY + " {H} found {an_obj}. {He} wanted to keep it all for {himself}.", DAY + " {H} got {an_obj} as a present. {He} did not let anyone touch it."],
        ['{F} the {f} asked, "May I [see it|look at it|have a turn], please?" But {H} said, "No, it is mine!"', '"Will you share with me?" asked {F} the {f}. {H} shook {his} head and ran away.'],
        ["Soon {H} sat all alone. It was no fun without a friend.", "But that night {H} felt sad. It is boring to play alone, {he} thought."],
        ['The next day {H} went to {F}. "I am sorry," {he} said. "Let us share it." {F} smiled.', '{H} knocked on {F}\'s door. "Please come out," {he} said. "We can share." And {F} came at once.'],
    ]),
    "new_friend": ("friendship", [
        [DAY + " a {f} named {F} moved in next door. {F} looked very different.", DAY + " {H} met a {f} named {F}. They had never seen anyone like each other before."],
        ['At first {H} did not know what to say. Then {he} said, "Hello, would you like to play?"', "They looked at each other for a long time. Then {F} smiled, and {H} smiled back."],
        ["They [played hide and seek|built a little house of sticks|splashed in the water|told each other jokes] until the sun went down.", "{H} showed {F} the best places, and {F} taught {H} a new [song|game]."],
        ['"I was lonely before you came," said {H}. "Me too," said {F}.', '"Will you come back tomorrow?" asked {H}. "Every day," said {F}.'],
    ]),
    "stars": ("wonder", [
        [DAY + " {H} looked up and saw that one star was missing.", "One night a little star fell from the sky and landed right in front of {H}."],
        ['"Please help me get home," said the star in a tiny voice.', "The star was cold and its light was weak."],
        ["{H} and {his} friend {F} the {f} climbed the highest [hill|mountain|tower] they could find.", "{H} asked {F} the {f}, who had an idea. They built a long ladder out of branches."],
        ["{H} held the star up as high as {he} could. A warm wind came and carried it back into the sky.", "With one big [jump|push], {H} set the star back in its place."],
        ["Since that night, the star winks whenever {H} looks up.", "From then on, one star always shone a little brighter for {H}."],
    ]),
    "shadow": ("courage", [
        ["Every night {H} heard a strange sound: [tap, tap, tap|knock, knock|whoo, whoo].", DAY + " {H} saw a huge dark shadow on the wall."],
        ["{His} heart beat fast. But {H} took a [lamp|candle|lantern] and went to look.", '"I must find out what it is," said {H}, and {he} walked slowly to the door.'],
        ["It was only {F}, a small {f}, who [was cold|had lost {fhis} way|was hungry]!", "And what did {he} see? A little {f} named {F}, who was even more scared than {H}."],
        ["They both laughed. {H} made [tea|soup|hot milk], and they talked until the morning.", '"I thought you were a monster!" said {H}. "So did I!" said {F}. They laughed and became friends.'],
    ]),
    "race": ("being kind", [
        [DAY + " there was a big race. {H} wanted to win it.", "Every year there was a great race, and this time {H} wanted to take part."],
        ["{F} the {f} was much faster and laughed at {H}. \"You will never win!\"", "The fastest runner was {F}, a proud {f}."],
        ["The race began. Half way, {F} fell and hurt {fhis} leg. All the others ran past.", "{H} ran as fast as {he} could. Then {he} saw {F} lying by the path with a hurt foot."],
        ["{H} stopped and helped {F} up. Together they crossed the line last.", "{H} could have won, but {he} turned back and carried {F} to the end."],
        ["But everyone cheered for them, and {H} got a prize for [the kindest heart|being a true friend].", '"You are the real winner," said {F}, and from then on they ran side by side.'],
    ]),
    "garden": ("patience", [
        [DAY + " {H} found a tiny seed. {He} put it into the ground and gave it water.", DAY + " {F} the {f} gave {H} a small seed. \"Take good care of it,\" said {F}."],
        ["{H} waited one day, two days, three days. Nothing happened.", "Every morning {H} looked, but there was only brown earth."],
        ['"It needs time," said {F} the {f}. So {H} gave it water every day and waited.', '"Be patient," said {F}. "Good things grow slowly."'],
        ["Then one morning there was a little green leaf. It grew and grew until it was a [tall sunflower|beautiful rose|big apple tree].", "In spring a green tip came out of the ground, and in summer it was the most beautiful flower of all."],
        ["{H} was proud, and {he} gave {F} the [first flower|first seeds].", "{H} and {F} sat beside it and were happy."],
    ]),
    "thief": ("forgiving", [
        [DAY + " {H} woke up and {his} {obj} was gone!", DAY + " somebody took {H}'s {obj}."],
        ["{H} looked for tracks and followed them [to the river|through the woods|up the hill].", "{H} found small footprints on the ground and followed them."],
        ["At the end of the tracks sat {F}, a {f}, with the {obj}. \"I only wanted to [look at it|play with it] once,\" {fhe} said and cried.", "There was {F} the {f}, holding the {obj}. \"I am sorry,\" said {F}. \"I have nothing of my own.\""],
        ['{H} was angry at first. Then {he} said, "Next time, just ask. We can use it together."', '{H} thought for a while. "I forgive you," {he} said. "Would you like to be my friend?"'],
    ]),
    "birthday": ("kindness", [
        ["It was {H}'s birthday, but nobody said a word about it.", "Tomorrow was {H}'s birthday, and {he} was very excited. But all {his} friends were busy."],
        ['{H} went to see {F} the {f}. "I have no time today," said {F} and closed the door.', "Even {F} the {f}, {his} best friend, ran past without a word."],
        ["{H} walked home slowly with {his} head down.", "{H} thought that everyone had forgotten {him}."],
        ['But when {he} opened the door, everyone jumped up. "Surprise!" they shouted. There was a big cake with [candles|cherries] on it.', 'Then the lights went on. "Happy birthday!" cried {F} and all the others. There was [music|cake] and laughter.'],
    ]),
    "river": ("working together", [
        [DAY + " the bridge over the river broke, and nobody could cross.", DAY + " a big rock fell on the road, and nobody could pass."],
        ["{H} tried to fix it alone, but it was too [heavy|hard].", '"I can do it by myself," said {H}. But it did not move at all.'],
        ['Then {F} the {f} came. "Let us do it together," said {F}. They called [all the neighbours|everyone] to help.', "{F} the {f} saw it and called all the others. Everyone came to help."],
        ['They pushed and pulled, one, two, three, and soon the [way was free|work was done].', "All together they worked until the evening, and then it was done."],
        ['"Together we are strong," said {H}.', "That evening they had a big [party|feast], and everyone was welcome."],
    ]),
    "winter": ("being prepared", [
        ["Summer was warm, and {H} gathered [nuts|food|wood] for the winter. {F} the {f} only played in the sun.", "In autumn {H} worked hard to get ready for winter, while {F} the {f} slept in the sun."],
        ['"Why do you work so hard?" asked {F}. "Winter will come," said {H}.', '"Come and play!" called {F}. "Later," said {H}. "First I must finish my work."'],
        ["Then the snow came. {F} was cold and had nothing to eat.", "Soon everything was white and cold, and {F} was hungry."],
        ['{F} knocked on the door. "Come in," said {H}. "There is enough for two."', "{H} opened {his} door and shared {his} warm soup with {F}."],
        ["The next year, they worked together.", '"Next year I will help you," said {F}, and {fhe} did.'],
    ]),
    "wish": ("being content", [
        [DAY + " {H} found {an_obj}. A voice said, \"You have one wish.\"", DAY + " {H} helped an old {f} named {F}. \"Thank you,\" said {F}. \"You may have one wish.\""],
        ["{H} thought hard. Should {he} ask for gold? For a big house? For a new [hat|coat]?", "{H} thought all day and all night. There were so many things to wish for."],
        ['Then {he} looked around at {his} friends and {his} warm home. "I wish that everyone I know is happy," {he} said.', '"I already have what I need," {he} said at last. "Please give my wish to somebody who is sad."'],
        ["That night everyone had the most wonderful dream.", "The voice laughed softly, and from that day on there was always enough to eat in the land."],
    ]),
    "song": ("being yourself", [
        ["{H} loved to sing, but {his} voice was [very deep|a little rough|too loud]. The others covered their ears.", "Everyone else could sing high and sweet. Only {H} had a strange voice."],
        ["So {H} stopped singing and became very quiet.", "{H} went away to a place where nobody could hear {him}."],
        [DAY + " {F} the {f} got lost in the fog. Nobody could see anything.", "Then a thick fog came, and little {F} the {f} could not find the way home."],
        ["{H} sang as loud as {he} could. {F} heard the song and followed it home.", "\"I will sing!\" said {H}. {His} voice went through the fog like a bell, and {F} came out safe."],
        ['"Your voice is wonderful," said {F}. From then on, {H} sang every day.', "After that, everyone asked {H} to sing."],
    ]),
    "journey": ("home", [
        [DAY + " {H} packed a small bag and went out to see the world.", "{H} was bored at home. \"I want to see the [sea|world|big mountains],\" {he} said and set off."],
        ["On the way {he} met {F}, a {f}. \"May I come with you?\" asked {F}. \"Of course,\" said {H}.", "After a while {he} met a {f} named {F}, and they went on together."],
        ["They saw [high mountains|a great city|the wide sea], they [slept under the stars|danced at a fair|sailed on a boat], and they learned many songs.", "They saw many things: [tall towers and wide rivers|bright markets and quiet lakes|white beaches and green hills]."],
        ["But after a time {H} began to miss {his} own bed. \"Let us go home,\" {he} said.", "One evening {H} said, \"The world is beautiful, but I miss my home.\""],
        ["When they came back, everyone wanted to hear their stories, and {F} stayed for good.", "At home the soup tasted better than ever, and {F} got the chair by the fire."],
    ]),
    "sick": ("care for others", [
        [DAY + " {F} the {f} was ill and had to stay in bed.", DAY + " {H} heard that {his} friend {F}, the {f}, was sick."],
        ["{H} wanted to help. Only the blue flower on the mountain could make {F} well.", '"I will bring something to make you better," said {H}.'],
        ["The way was long and steep. {H} slipped twice, but {he} did not turn back.", "{H} walked through wind and rain and did not stop."],
        ["At the top {he} found the blue flower. {He} hurried home and made tea from it.", "{He} came back with the blue flower and a pot of hot soup."],
        ["The next morning {F} felt well again. \"You are a true friend,\" said {F}.", "Soon {F} could laugh and jump again, and they danced around the room."],
    ]),
    "trick": ("thinking first", [
        [DAY + " a hungry [wolf|giant|troll] stood in {H}'s way. \"I will eat you!\" it growled.", DAY + " a big troll caught {H} and {his} friend {F} the {f}."],
        ['{H} thought quickly. "I am much too [thin|small]," {he} said. "Wait here, I will bring you a big cake."', '"Before you eat us," said {H}, "can you show us how strong you are? I bet you can not lift that rock."'],
        ["It agreed. {H} ran to {F} the {f}, and together they made a cake with lots of pepper in it.", "It pulled and pulled at the rock until it was so tired that it fell asleep."],
        ["It took one bite, sneezed ten times, and ran away as fast as it could.", "{H} and {F} tiptoed away and laughed all the way home."],
    ]),
    "painting": ("creativity", [
        ["{H}'s home was grey and dull, and everyone there looked [sad|tired].", "{H} lived in a place where everything was grey."],
        [DAY + " {H} found {an_obj} and next to it a box of paints.", DAY + " {F} the {f} gave {H} a box of paints."],
        ["{H} painted a yellow sun on {his} door. Then {he} painted flowers, birds and a big rainbow.", "First {he} painted one red flower. Then {he} could not stop and painted every wall."],
        ['{F} the {f} came by and smiled for the first time in years. "Paint my house too!" said {F}.', "Soon {F} and all the neighbours came with brushes, and they painted the whole street."],
        ["Now it is the most colourful place in the land.", "From that day on, nobody there was sad any more."],
    ]),
    "truth": ("honesty", [
        [DAY + " {H} was playing and broke {F}'s favourite [cup|window|pot] by accident.", DAY + " {H} lost the {obj} that {F} the {f} had lent {him}."],
        ['"Who did this?" asked {F} the {f}. {H} looked at the ground and said nothing.', "{H} was afraid to say it, so {he} hid behind a [tree|door]."],
        ["But {H} could not sleep that night. The lie felt like a stone in {his} belly.", "All day {H} felt bad, and not even {his} favourite food tasted good."],
        ['In the morning {he} went to {F} and said, "It was me. I am very sorry."', 'Then {H} took a deep breath and told {F} the truth.'],
        ['"Thank you for telling me," said {F}. "Let us fix it together." And {H} felt light again.', "{F} was not angry at all. \"That was brave,\" said {F} and gave {H} a hug."],
    ]),
}
DREAMS = "fly|sing|dance|swim|paint|read|cook|fly a kite|play the drum|ride a bicycle|juggle|skate|write stories|climb mountains|play the piano|build things|tell jokes|make music|speak|jump high|draw|bake bread|see the sea|travel to the moon|count the stars|play football|love|laugh|drive a train|sail".split("|")
THING_HOMES = "[a drawer in an old house|a small shop|a dusty attic|a bright kitchen|a house at the end of the street|a box under the stairs|a little museum|a busy market|a cupboard in a farmhouse]"
MORAL = {"helping others": "helping others makes you happy too", "caring": "love makes small things grow", "courage": "being brave means helping even when you are afraid", "friendship": "a good friend is the best treasure", "not giving up": "you should never give up",
         "sharing": "sharing makes everything more fun", "wonder": "small things can be very special", "being kind": "kindness is more important than winning", "patience": "good things take time", "forgiving": "it is good to forgive", "kindness": "friends do not forget you",
         "working together": "together we can do more than alone", "being prepared": "it is wise to prepare", "being content": "being content is a great gift", "being yourself": "you should be proud of who you are", "home": "home is where your friends are",
         "care for others": "true friends take care of each other", "thinking first": "a clever idea is better than strong arms", "creativity": "a little colour can change the world", "honesty": "it is best to tell the truth"}
END = ["And they lived happily ever after.", "And from that day on, {H} and {F} were best friends.", "And they all lived happily ever after.", "That night {H} fell asleep with a smile.", "{H} was very happy.", "And if you go there today, you can still hear them laugh.", "The end.",
       "And so {H} learned that {moral}.", "{H} learned that {moral}.", "From then on, {H} always remembered that {moral}.", "And that is how {H} and {F} became friends."]
CHANGE = {"lonely": "{H} was not lonely any more.", "sad": "And {H} could smile again.", "lazy": "And {H} was never lazy again.", "greedy": "And {H} was not greedy any more.", "grumpy": "And {H} was not grumpy any more. Well, only on Mondays.", "scared": "And {H} was not scared any more.",
          "shy": "And {H} was not so shy any more.", "angry": "And {H} did not get angry so often any more.", "mean": "And {H} was never mean again.", "evil": "And {H} became good and kind.", "proud": "And {H} was not so proud any more.", "lost": "And {H} was never lost again.", "tired": "Then {H} had a long, sweet sleep."}


@functools.lru_cache(1)
def extra_heroes():
    """Easy nouns for animals, things, food, people and plants: so that a story about anything at all comes out."""
    return {w: g[1] for w, g in assets()["glosses"].items() if g[0] == "noun" and g[1] in (5, 6, 13, 18, 20) and w not in HOMES and not w.endswith("s")}


@functools.lru_cache(1)
def heroes(): return NOUNS + sorted(HOMES) + sorted(HOMES), sorted(extra_heroes()), sorted(w for w, g in assets()["glosses"].items() if g[0] == "adj" and w not in NATURE)


def pronouns(sex, p=""):
    m = sex == "m"
    return {p + "he": "he" if m else "she", p + "him": "him" if m else "her", p + "his": "his" if m else "her", p + "himself": "himself" if m else "herself",
            p + "He": "He" if m else "She", p + "His": "His" if m else "Her"}


def sex_of(r, noun):
    return "f" if noun in SHE else "m" if noun in HE else r.choice("mf")


def story(r, noun=None, adj=None, friend=None, obj=None, place=None, theme=None, name=None, sex=None, short=False, held=False, dream=None):
    """A story dict: text and its facts. `held` names are those that training never sees."""
    noun = noun or r.choice(NOUNS)
    plots = [p for p in PLOTS if theme is None or PLOTS[p][0] == theme]
    if obj: plots = [p for p in plots if p in ("treasure", "share", "thief", "wish", "painting", "truth")] or plots
    plot = "learn" if dream else r.choice(plots)
    dream = dream or r.choice(DREAMS)
    sex = sex or sex_of(r, noun)
    friend = friend or r.choice([f for f in FRIENDS if f != noun])
    fsex = sex_of(r, friend)
    H = name or first_name(r, sex)
    F = first_name(r, fsex)
    while F == H: F = first_name(r, fsex)
    obj_noun = obj or r.choice(sorted(OBJECTS))
    obj_full = r.choice(OBJECTS.get(obj_noun, "old|little|strange").split("|")) + " " + obj_noun
    h = f"{adj} {noun}" if adj else r.choice(["", "", "little ", "young "]) + noun
    home = fill(r, HUMAN_HOME if noun in HUMAN and (noun not in HOMES or r.random() < 0.3) else HOMES.get(noun) or (HUMAN_HOME if noun in HUMAN or noun not in extra_heroes() or extra_heroes()[noun] == 18 else THING_HOMES))
    theme = PLOTS[plot][0]
    s = dict(H=H, F=F, f=friend, noun=noun, h=h, an_h=an(h), home=home, obj=obj_noun, an_obj=an(obj_full), place=PLACES_S.get(place, ""), Place=cap(PLACES_S.get(place, "")), moral=MORAL[theme], dream=dream, **pronouns(sex), **pronouns(fsex, "f"))
    parts = [pick(r, OPEN_P if place else OPEN, **s)]
    if adj and adj in NATURE: parts.append(pick(r, NATURE[adj], **s))
    beats = PLOTS[plot][1]
    cut = short and len(beats) > 4
    text_beats = [pick(r, b, **s) for i, b in enumerate(beats) if not (cut and i == len(beats) - 1)]
    if obj and not any(obj in t for t in text_beats + parts): text_beats.insert(1, pick(r, ["{H} had {an_obj} with {him}, as always.", "In {his} bag {H} carried {an_obj}.", "{He} took {his} {obj} and got ready."], **s))
    if obj and not any(f" {friend} " in f" {t} " or f" {friend}." in t for t in text_beats): pass
    parts += text_beats
    if not any(F in p for p in parts): endings = [e for e in END if "{F}" not in e]
    else: endings = END
    if adj in CHANGE and r.random() < 0.8: parts.append(CHANGE[adj].format(**s))
    parts.append(pick(r, endings, **s))
    if r.random() < 0.3 and len(parts) > 4:
        k = len(parts) // 2
        text = " ".join(parts[:k]) + "\n\n" + " ".join(parts[k:])
    else: text = " ".join(parts)
    return dict(text=text, H=H, F=F if F in text else None, noun=noun, friend=friend, h=h, adj=adj, home=home, theme=theme, moral=MORAL[theme], plot=plot, sex=sex, obj=obj, place=place)


ASK = ["Tell me a story about {x}.", "Tell me a [short|little|nice|funny|bedtime|short bedtime|good] story about {x}.", "Can you tell me a story about {x}?", "Write a [short |little |]story about {x}.", "I want a story about {x}.", "I would like [to hear |]a story about {x}.",
       "Please tell me a story about {x}.", "Give me a story about {x}.", "Could you write a story about {x}?", "Tell a story about {x}.", "A story about {x}, please.", "Make up a story about {x}.", "Do you know a story about {x}?", "Write me a [short |]story about {x}.", "Let us have a story about {x}.", "story about {x}",
       "I want to hear about {x}. Tell me a story.", "Can you write a [short |]story with {x} in it?", "Tell me a fairy tale about {x}.", "Tell my [son|daughter|little brother|little sister|kids] a story about {x}.", "Write a tale about {x}.", "I'd love a story about {x}.", "Tell us a story about {x}.", "Story time! Something about {x}, please.", "Invent a story about {x}.", "A bedtime story about {x}.", "Tell me the story of {x}.", "Can I get a story with {x}?", "a story with {x}", "Could you tell me a little story about {x}, please?", "short story about {x}", "write about {x}", "Tell me a tale of {x}.", "Please write a story for my [son|daughter|child|kids] about {x}."]
ASK_ANY = ["Tell me a story.", "Tell me a [short|bedtime|nice|little|funny|good] story.", "Can you tell me a story?", "I want to hear a story.", "Write a story.", "Write a short story.", "Do you know any stories?", "I am bored, tell me a story.", "A story, please.", "Please tell me something nice before I sleep.", "Tell me a story about anything you like.", "story please", "Read me a story.", "I can not sleep. Tell me a story.", "Tell me a fairy tale.", "Make up a story for me."]
LEAD = ["", "", "", "", "", "", "Of course! ", "Sure! ", "Here is a story for you.\n\n", "Here is a story about {x}.\n\n", "Gladly! ", "Yes, here it comes.\n\n"]


def request(r, held=False):
    """An exchange that asks for a story in one of many ways; returns (Ex, facts)."""
    while True:
        k = r.random()
        kw = {}
        usual, extra, odd = heroes()
        noun = r.choice(usual) if r.random() < 0.75 else r.choice(extra)
        adj = (r.choice(ADJ) if r.random() < 0.9 else r.choice(odd)) if r.random() < 0.65 else None
        if held_out("story", adj, noun) == held or (k > 0.9 and not held): break
    if k > 0.9 and not held:
        st = story(r, noun, adj if r.random() < .5 else None)
        x = st["h"]; ask = pick(r, ASK_ANY)
    else:
        x = an(f"{adj} {noun}" if adj else noun)
        kw = dict(noun=noun, adj=adj)
        k = r.random()
        if k < 0.10 and not held:
            kw["sex"] = sex_of(r, noun); kw["name"] = first_name(r, kw["sex"]); x += r.choice([" named ", " called ", " named "]) + kw["name"]
        elif k < 0.22: kw["friend"] = r.choice([f for f in FRIENDS if f != noun]); x += " and " + an(kw["friend"])
        elif k < 0.32: kw["obj"] = r.choice(sorted(OBJECTS)); x += r.choice([" and ", " with ", " who finds "]) + an(kw["obj"])
        elif k < 0.42: kw["place"] = r.choice(sorted(PLACES_S)); x += " " + PLACES_S[kw["place"]]
        elif k < 0.47: kw["theme"] = r.choice(sorted(MORAL)); x += " and " + kw["theme"]
        elif k < 0.50 and adj is None: x = plural(noun)
        elif k < 0.56 and not held: kw["dream"] = r.choice(DREAMS); x += r.choice([" who wants to ", " who learns to ", " that wants to ", " who wanted to "]) + kw["dream"]
        st = story(r, **kw)
        ask = pick(r, ASK, x=x)
        if adj is None and r.random() < 0.05: ask = pick(r, ["Tell me about {x}, as a story.", "Once upon a time there was {x}. Go on."], x=x)
    lead = pick(r, LEAD, x=x if len(x) < 40 else "that") if k < 0.9 else ""
    thought = pick(r, ["The user wants a story about {x}. [I will give the {n} a name, a problem and a good ending.|The hero is {H}, and the theme is {t}.|I need a hero, a small problem and a happy end.] ", "I should tell a story about {x}. The hero will be called {H}[.|, and the story is about {t}.]",
                       "A story about {x}. Plan: {H} meets a problem, [gets help|finds a friend|learns something], and all ends well."], x=x, n=st["noun"], H=st["H"], t=st["theme"]).strip()
    return Ex(ask, lead + st["text"], thought), st


def followup(r, st):
    """A question about the story that was just told."""
    H, F = st["H"], st["F"]
    he = "he" if st["sex"] == "m" else "she"
    opts = [
        Ex(pick(r, ["What was the name of the {n}?", "What was the {n} called?", "What was the {n}'s name?", "Who was the hero of the story?", "What is the {n}'s name?"], n=st["noun"]), pick(r, ["The {n} was called {H}.", "The {n}'s name was {H}.", "{H}. That was the name of the {n}."], n=st["noun"], H=H), f"The {st['noun']} in my story was called {H}."),
        Ex(pick(r, ["What can we learn from the story?", "What is the moral of the story?", "What is the lesson?", "What did {H} learn?"], H=H), pick(r, ["The story tells us that {m}.", "I think the lesson is that {m}.", "{H} learned that {m}."], m=st["moral"], H=H), f"The story was about {st['theme']}. So the lesson is that {st['moral']}."),
        Ex(pick(r, ["I liked that story.", "That was a nice story!", "What a lovely story.", "Great story!", "I love it!", "That was good.", "nice story", "Good story, thank you."]), pick(r, ["Thank you! I am glad you liked {H}.", "I am happy that you liked it! [Shall I tell you another one?|]", "Thank you! {H} and I are happy about that."], H=H), "The user liked the story. I will say thank you."),
        Ex(pick(r, ["Where did {H} live?", "Where did the {n} live?"], H=H, n=st["noun"]), f"{H} lived {PLACES_S[st['place']]}." if st["place"] else f"{H} lived in {st['home']}.", f"I said in the story where {H} lived."),
        Ex(pick(r, ["What was the story about?", "Who was in the story?", "Can you sum up the story?", "Summarize the story in one sentence.", "What happened in the story?"]),
           pick(r, ["It was about {H}, {a}, and about {t}.", "It was a story about {H}, {a}[, who learned that {m}|]."], H=H, a=an(st["h"]), t=st["theme"], m=st["moral"]), f"The hero was {H}, and the theme was {st['theme']}."),
    ]
    if F: opts.append(Ex(pick(r, ["Who was {H}'s friend?", "Who did {H} meet?", "What was the {f}'s name?", "Who else was in the story?"], H=H, f=st["friend"]), pick(r, ["{F} the {f}.", "It was {F}, the {f}.", "{H} met {F} the {f}."], F=F, f=st["friend"], H=H), f"The other one in the story was {F} the {st['friend']}."))
    return r.choice(opts)


if __name__ == "__main__":
    import sys, random
    r = random.Random(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    for _ in range(6):
        ex, st = request(r); print("U:", noisy(r, ex.user)); print("T:", ex.thought); print("A:", ex.answer); e = followup(r, st); print("U:", e.user, "\nA:", e.answer, "\n")
