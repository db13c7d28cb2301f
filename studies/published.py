"""What the papers ran on large models, and what they report, for ``studies.large_models`` to repeat.

The numbers themselves are in :mod:`studies.gallery.reported`. The papers' guidance and top-k are not known to us: those
below are what each model's authors release it with.
"""

from __future__ import annotations

from dataclasses import dataclass

from studies.gallery.reported import JANUS, LUMINA, Published

METHODS = ("ar", "sjd", "scd-mc", "scd-gs")
WINDOWS = (16, 32, 64, 128)


@dataclass(frozen=True)
class Setting:
    """How a model is run.

    Attributes
    ----------
    name : str
        On the command line.
    weights : str
        On the hub.
    architecture, layout : str
        See :mod:`reference.models.hf_networks` and :mod:`reference.models.hf_layouts`.
    height, width : int
        Of the image, in tokens.
    template : str
        The prompt; ``{bos}`` is the tokenizer's start and ``{prompt}`` the caption.
    negative : str or None
        The negative prompt; None is what the network's own ``generate`` would take.
    guidance, temperature, top_k
        Part of the target law.
    source : str
        Where prompt, guidance and top-k are from.
    published : tuple of Published
        To compare with; empty where nothing is on file.
    """

    name: str
    weights: str
    architecture: str
    layout: str
    height: int
    width: int
    template: str
    negative: str | None
    guidance: float
    temperature: float
    top_k: int | None
    source: str
    published: tuple[Published, ...] = ()


_WORST = (
    "lowres, bad anatomy, bad hands, text, error, missing fingers, extra digit, fewer digits, cropped, worst quality, "
    "low quality, normal quality, jpeg artifacts, signature, watermark, username, blurry."
)

SETTINGS = {
    setting.name: setting
    for setting in (
        Setting(
            name="lumina-mgpt",
            weights="Alpha-VLLM/Lumina-mGPT-7B-768",
            architecture="chameleon",
            layout="lumina-mgpt",
            height=48,
            width=48,
            template="{bos}Generate an image of 768x768 according to the following prompt:\n{prompt}<reserved08706>",
            negative=None,
            guidance=4.0,
            temperature=1.0,
            top_k=2000,
            source="README of Alpha-VLLM/Lumina-mGPT",
            published=tuple(row for row in LUMINA.rows if row.method in METHODS),
        ),
        Setting(
            name="janus-pro",
            weights="deepseek-community/Janus-Pro-7B",
            architecture="janus",
            layout="janus",
            height=24,
            width=24,
            template="{bos}<|User|>: {prompt}\n\n<|Assistant|>:<begin_of_image>",
            negative=None,
            guidance=5.0,
            temperature=1.0,
            top_k=None,
            source="generation_inference.py of deepseek-ai/Janus",
            published=JANUS.rows,
        ),
        Setting(
            name="emu3",
            weights="BAAI/Emu3-Gen-hf",
            architecture="emu3",
            layout="emu3",
            height=90,
            width=90,
            template="{bos}{prompt} masterpiece, film grained, best quality.<|image start|>90*90<|image token|>",
            negative="{bos}" + _WORST + "<|image start|>90*90<|image token|>",
            guidance=3.0,
            temperature=1.0,
            top_k=2048,
            source="image_generation.py of baaivision/Emu3",
        ),
    )
}
"""By name."""

PROMPTS = (
    "A red bicycle leaning against a white wall.",
    "Two cats asleep on a wooden bench in the sun.",
    "A bowl of oranges on a blue table, seen from above.",
    "A train crossing a stone bridge in the mountains.",
    "A child flying a kite on an empty beach.",
    "A street market at night after the rain.",
    "A brown horse drinking from a river.",
    "A small kitchen with yellow cupboards.",
)
"""Captions of our own, in the manner of MS-COCO's."""
