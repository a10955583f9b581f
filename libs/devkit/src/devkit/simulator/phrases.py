"""The words around the brands. ``{brand}`` is the only placeholder; no brand is named here."""

from __future__ import annotations

OPENINGS = (
    "It depends on how you work, but a few options stand out.",
    "There is no single right answer here, so here is how I see the field.",
    "Happy to help. These are the options I would look at first.",
    "The best choice comes down to your budget, your devices and how much setup you enjoy.",
    "Here is a short overview of what people use for this.",
)

CLOSINGS = (
    "Most of these have a free tier, so try two of them for a week before you commit.",
    "If you tell me more about your workflow, I can narrow this down.",
    "Whatever you choose, check how easily you can export your data later.",
    "Prices and features change often, so verify the details before buying.",
    "",
)

NOTHING_NAMED = (
    "It depends on your needs. Think about offline access, search quality and price first, "
    "and prefer an app that lets you export everything in an open format.",
    "I do not have a particular product in mind. Start from the devices you use, decide "
    "whether you need to share with others, and compare the free tiers.",
    "Plain text files in a synced folder work well for many people, and you can always move "
    "to a dedicated app once you know what you are missing.",
)

RECOMMENDED = (
    "I would recommend {brand}: it is reliable, quick and pleasant to use every day.",
    "My top pick would be {brand}, which does the important parts very well.",
    "For most people {brand} is the one I would recommend, thanks to its excellent search.",
    "{brand} is the option I would choose, because it is polished and easy to live with.",
)

DENIED = (
    "I would not recommend {brand}: it has become slow and frustrating for what it costs.",
    "I would steer clear of {brand}, since users report lost data and poor support.",
    "I cannot recommend {brand} at the moment, as the recent changes made it worse.",
    "Personally, I would avoid {brand} because of its unreliable sync.",
)

POSITIVE = (
    "{brand} is excellent if you value flexibility, and its community is very helpful.",
    "People love {brand} for its clean design and fast search.",
    "{brand} does a great job of staying out of your way.",
    "With {brand} you get a powerful and well supported tool.",
)

NEUTRAL = (
    "{brand} is available on desktop and mobile, with a free and a paid plan.",
    "Another option is {brand}, which covers the usual features.",
    "{brand} has been around for some years and stores your content in the cloud or locally.",
    "Some teams use {brand} alongside their other software.",
)

NEGATIVE = (
    "{brand} can feel slow and cluttered once you have a lot of content.",
    "A common complaint about {brand} is the steep and frustrating learning curve.",
    "{brand} has become expensive, and the free plan is disappointing.",
    "Users often find that {brand} is clumsy on mobile.",
)
