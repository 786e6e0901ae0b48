"""Runs stages in containers, and prints the shell commands that do.

``images`` names the image of every stage and representation and describes a container; ``confinement`` states what confines one.
``planning`` turns a parsed command into a container, ``running`` runs it by the Docker ``engine`` of this machine as if the stage ran here,
and ``commands`` prints the command of every batch for Docker, Apptainer or neither. For schedulers, ``slurm_array`` prints a script and
``indexed_job`` a manifest, which give a batch the ``resources`` that it needs; ``collecting`` tells what became of all batches.
``estimates`` computes what a run costs from ``speeds`` that were measured and ``amounts`` of audio, and ``cost_table`` is its text.
"""
