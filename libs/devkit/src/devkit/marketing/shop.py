"""What the invented shop sells, what people ask it, and the campaigns it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Want:
    """Something people ask about, and how they put it. ``{thing}`` is drawn from ``things``."""

    name: str
    things: tuple[str, ...]
    phrases: tuple[str, ...]


WANTS: tuple[Want, ...] = (
    Want(
        "espresso_machine",
        ("espresso machine", "portafilter machine", "machine with a grinder", "steam wand"),
        (
            "Which {thing} is good for beginners?",
            "How often does a {thing} need descaling?",
            "Is a {thing} loud in the morning?",
            "I would like a small {thing} for my kitchen.",
        ),
    ),
    Want(
        "coffee_beans",
        ("beans", "dark roast", "single origin coffee", "decaf beans"),
        (
            "Do you have fresh {thing}?",
            "What {thing} tastes of chocolate?",
            "How long do {thing} keep after roasting?",
            "Can I subscribe to {thing}?",
        ),
    ),
    Want(
        "tea",
        ("green tea", "oolong", "matcha", "herbal tea"),
        (
            "How hot should the water be for {thing}?",
            "Which {thing} helps me to sleep?",
            "Is your {thing} organic?",
            "I am looking for a gift box with {thing}.",
        ),
    ),
    Want(
        "barista_course",
        ("latte art course", "barista class", "home brewing workshop", "tasting evening"),
        (
            "When is the next {thing}?",
            "Can two people book the {thing} together?",
            "Do I need to know anything before the {thing}?",
            "Is there a {thing} on a weekend?",
        ),
    ),
    Want(
        "repair",
        ("pump", "gasket", "grinder", "water tank"),
        (
            "The {thing} of my machine is broken.",
            "Where do I get a new {thing}?",
            "My {thing} leaks, can you mend it?",
            "How much is it to replace the {thing}?",
        ),
    ),
    Want(
        "office_supply",
        ("office", "team of twenty", "meeting room", "canteen"),
        (
            "We need coffee for our {thing}.",
            "What does a monthly delivery for a {thing} cost?",
            "Do you lend machines to a {thing}?",
            "Can you send one invoice for the whole {thing}?",
        ),
    ),
    Want(
        "sustainability",
        ("packaging", "fair trade label", "capsules", "paper filters"),
        (
            "Can I recycle the {thing}?",
            "What do you do about the {thing}?",
            "What can I use instead of {thing}?",
            "Do you take back {thing}?",
        ),
    ),
    Want(
        "delivery",
        ("parcel", "order", "gift card", "refund"),
        (
            "Where is my {thing}?",
            "When will the {thing} arrive?",
            "The {thing} came too late.",
            "Can I change the address of my {thing}?",
        ),
    ),
)

CAMPAIGNS: tuple[dict[str, Any], ...] = (
    {
        "campaign_id": "espresso-starter",
        "title": "Espresso starter set",
        "text": "A compact machine, a tamper and a bag of beans for beginners.",
        "intents": ["espresso_machine"],
    },
    {
        "campaign_id": "trade-in-week",
        "title": "Trade in your old machine",
        "text": "Bring any machine, broken or not, and save on a new one.",
        "intents": ["espresso_machine", "repair"],
    },
    {
        "campaign_id": "bean-subscription",
        "title": "Fresh beans every month",
        "text": "Roasted on Monday, with you on Thursday. Pause whenever you like.",
        "intents": ["coffee_beans"],
    },
    {
        "campaign_id": "single-origin-trio",
        "title": "Three single origins to compare",
        "text": "Ethiopia, Colombia and Sumatra, with a tasting card.",
        "intents": ["coffee_beans", "barista_course"],
    },
    {
        "campaign_id": "tea-garden",
        "title": "Tea garden box",
        "text": "Green tea, oolong and matcha in a wooden box.",
        "intents": ["tea"],
    },
    {
        "campaign_id": "latte-art-weekend",
        "title": "Latte art weekend",
        "text": "Two mornings with our champion, for one or for two.",
        "intents": ["barista_course"],
    },
    {
        "campaign_id": "service-plan",
        "title": "Service plan for machines",
        "text": "Descaling, gaskets and a loan machine while we repair yours.",
        "intents": ["repair"],
    },
    {
        "campaign_id": "office-flat-rate",
        "title": "Coffee flat rate for offices",
        "text": "Machine, beans and service for one price a head.",
        "intents": ["office_supply"],
    },
    {
        "campaign_id": "refill-jar",
        "title": "Refill jar",
        "text": "Come with your own jar: no packaging, ten percent off.",
        "intents": ["sustainability", "coffee_beans"],
    },
    {
        "campaign_id": "gift-cards",
        "title": "Gift cards that never expire",
        "text": "By mail within the hour.",
        "intents": ["delivery"],
        "frequency_cap": {"impressions": 3, "hours": 24},
    },
)
