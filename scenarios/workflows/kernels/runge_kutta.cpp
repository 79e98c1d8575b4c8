// Subtly wrong: the textbook's fourth-order method. More accurate than leapfrog in any short run, and not symplectic.
#include "cordon_kernel.h"

extern "C" double sin(double); // all of <cmath> that is needed; the header takes an emulated compiler ten seconds

void cordon_step(double *q, double *p, int, double h)
{
	const auto f = [](double x) { return -sin(x); };
	const double a = p[0], A = f(q[0]);
	const double b = p[0] + h / 2 * A, B = f(q[0] + h / 2 * a);
	const double c = p[0] + h / 2 * B, C = f(q[0] + h / 2 * b);
	const double d = p[0] + h * C, D = f(q[0] + h * c);
	q[0] += h / 6 * (a + 2 * b + 2 * c + d);
	p[0] += h / 6 * (A + 2 * B + 2 * C + D);
}
