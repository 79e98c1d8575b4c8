// Conserves everything and goes nowhere.
#include "cordon_kernel.h"

void cordon_step(double *, double *, int, double)
{
}
