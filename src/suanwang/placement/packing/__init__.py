"""What is behind ``placement.pool``: what a machine's free room is worth to the jobs to come.

A job goes where it costs least: the value of the machine's free room before, less that after,
less what the job itself uses, in steps of a fifth of a card (``kernels.packing``). The value, in
thousandths of a card, has three parts:

    value = size x stack + 8 x scarcity x rests x usable + 3 x slots

- *stack*: how many more jobs of one card the machine would hold, in expectation over the jobs
  that come, where those after the first are taken to need cores as the average job does; *size*
  is the harmonic mean of what a job asks of cards;
- *rests*: what is left of each card by what a rest of that size can still earn (``worth``);
  *usable*: the part of the jobs that come for whom the machine's cores would last as long as its
  cards; *scarcity*: more than one where jobs ask for this group of machines by name;
- *slots*: places for jobs of several cards, at the chance that places like it run out.

What jobs will come is learned from those that came (``counts``, ``outlook``), never given.
"""
