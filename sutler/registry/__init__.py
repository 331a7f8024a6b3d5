"""Pure: image references, registry patterns, mappings and docker configs. Knows no cluster, does no I/O."""

from sutler.registry.image import Image, ImageError, parse_image
from sutler.registry.index import MappingIndex
from sutler.registry.keyring import Keyring
from sutler.registry.mapping import Mapping, MappingError, Mode, parse_mapping
from sutler.registry.pattern import Pattern, PatternError, parse_pattern
from sutler.registry.selector import LabelSelector, SelectorError

__all__ = [
    "Image",
    "ImageError",
    "Keyring",
    "LabelSelector",
    "Mapping",
    "MappingError",
    "MappingIndex",
    "Mode",
    "Pattern",
    "PatternError",
    "SelectorError",
    "parse_image",
    "parse_mapping",
    "parse_pattern",
]
