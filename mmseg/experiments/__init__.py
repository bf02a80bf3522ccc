"""The papers' numbered experiments: from settings to configs (``runs``), and from configs to trainings (``named``)."""
