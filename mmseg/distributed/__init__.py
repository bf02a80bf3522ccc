"""Several processes in one training or test: who they are (``processes``), how they find each other (``launch``), and
what they keep equal (``synchronise``). Alone, everything here is a plain function."""

LAUNCHERS = ('none', 'pytorch', 'slurm')  # what can have started the processes: nobody, torchrun, srun
