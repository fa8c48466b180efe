"""How colours become grey, without importing Pillow."""

# Red, green and blue in the luminance of ITU-R BT.601, in parts of 65,536, as Pillow has them.
LUMINANCE = (19595, 38470, 7471)
