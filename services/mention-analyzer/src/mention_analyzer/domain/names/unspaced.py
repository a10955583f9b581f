"""Scripts that put no spaces between words: there every name would be hidden by its neighbours.

Chinese, Japanese, Thai and the like, and Korean, which joins particles to names.
"""

from __future__ import annotations

# Unicode blocks: Thai to Lao, Myanmar, Khmer, CJK radicals to ideographs with kana, Hangul,
# compatibility ideographs, half-width kana, and the supplementary ideographs.
BLOCKS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
