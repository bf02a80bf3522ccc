"""Converters of published data sets: the ``convert`` of a module each, which :mod:`mmseg.cli.convert` calls."""
