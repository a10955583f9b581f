"""Words around names that tell brands from ordinary words."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ARTICLES = _words("the this that its these those")
PRONOUNS = _words("nothing everything something all both none one on off away always never now")
FUNCTION = _words(
    "a an the this that these those and or but nor so if as at by for from in into of off on onto "
    "out over per than to up via vs with without is are was were be been it its your our their my "
    "his her you we they i not no any all some each more most while when where how why what which "
    "who"
)
UNITS = _words(
    "hp gb tb mb mp kg lb lbs oz ml mm cm km hz khz ghz mhz w kw v ah mah db in ft qt pt pc pcs "
    "rpm psi btu cfm mpg mph am pm fps dpi ppm"
)
# What can begin a sentence before a name, where its capital is not part of the name.
LEADING = _words(
    "the this that a an at from by with without for if when while both like unlike only new "
    "restored renewed refurbished used original our your their its and or but also since because "
    "although though as in on via using with consider choose try visit get buy compare or either "
    "neither whether is does do can are why while versus vs than other another most many some all "
    "best top brands brand"
)
# Verbs whose subject is a company or a product.
SAYING = _words(
    "is has offers offer offered makes make made sells sell provides provide carries carry was "
    "will would can could may does also features includes combines delivers focuses stands uses "
    "specializes allows lets gives matches shines excels earns comes remains continues recently "
    "now claims says announced launched released recommends charges ships partners supports"
)
COMPOUNDED = _words(
    "made branded owned brand built designed exclusive compatible friendly certified approved "
    "powered enabled only like style backed produced manufactured related specific inspired"
)
DESCRIBING = _words(
    "a an the this these known offers offering offer features featuring considered praised "
    "renowned frequently often consistently another provides specializes combines designed good "
    "great excellent popular best top formerly strengths pros cons like includes highly similar "
    "while with has is as widely generally made carries ideal perfect trendy budget affordable "
    "premium based focused it its also one rated named"
)
ADVISING = _words(
    "consider look check ensure make choose determine think decide do does if how what are measure "
    "some many most you your opt select find make evaluate assess read compare be avoid pay try "
    "keep remember whether different not prices will depending lighter heavier"
)
COUNTRIES = _words(
    "usa us america canada mexico italy germany france spain portugal england britain uk scotland "
    "ireland china japan korea taiwan vietnam india sweden denmark norway finland switzerland "
    "austria poland brazil europe asia australia the"
)
