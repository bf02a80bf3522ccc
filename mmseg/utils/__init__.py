"""Small things that every other package uses; none of them knows any package of mmseg."""
