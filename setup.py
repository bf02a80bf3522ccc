"""Installs the package mmseg; requirements.txt holds what it needs."""
from setuptools import find_packages, setup

setup(
    name='mmseg',
    version='1.0.0',
    description='Unsupervised domain adaptation for semantic segmentation in one framework',
    license='Apache-2.0',
    package_data={'mmseg.report': ['page.css', 'page.js']},
    packages=find_packages(include=('mmseg', 'mmseg.*')),
    python_requires='>=3.10',
)
