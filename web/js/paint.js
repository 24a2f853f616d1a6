// When to draw: each painter once a frame at most, and at most every `every_ms`; nothing while the
// page is hidden. Whoever has news wakes a name; what is registered under it runs in a next frame.

const painters = [];
const wanted = new Set();
let frame = 0;

export function painter(name, paint, every_ms = 0) {
	painters.push({ name, paint, every_ms, last: -Infinity });
}

function run(now) {
	frame = 0;
	for (const one of [...wanted]) {
		if (now - one.last < one.every_ms)
			continue;
		wanted.delete(one);
		one.last = now;
		one.paint();
	}
	start();
}

function start() {
	if (!frame && wanted.size > 0 && !document.hidden)
		frame = requestAnimationFrame(run);
}

/** Wakes the painters of a name; with none, all of them. */
export function wake(name) {
	for (const one of painters)
		if (!name || one.name === name)
			wanted.add(one);
	start();
}

document.addEventListener('visibilitychange', () => {
	if (!document.hidden) {
		wake();
	} else if (frame) {
		cancelAnimationFrame(frame);
		frame = 0;
	}
});
