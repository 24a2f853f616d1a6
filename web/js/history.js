// The last two minutes of a rate, a sample a second, and the curve that shows them.

import { put_attribute, svg } from './dom.js';

const SAMPLES = 120;
const WIDTH = 120;
const HEIGHT = 24;

export class History {
	constructor() {
		this.samples = new Float64Array(SAMPLES).fill(NaN); // NaN: not known
		this.next = 0;
	}

	push(value) {
		this.samples[this.next] = value;
		this.next = (this.next + 1) % SAMPLES;
	}

	/** Seconds of which nothing is known. */
	skip(seconds) {
		for (let i = 0; i < Math.min(seconds, SAMPLES); i++)
			this.push(NaN);
	}

	/** The sample of `age` seconds ago. */
	at(age) {
		return this.samples[(this.next - 1 - age + 2 * SAMPLES) % SAMPLES];
	}

	most() {
		return this.samples.reduce((most, value) => (value > most ? value : most), 0);
	}
}

/** The curve as SVG path data: [line, area]. Unknown seconds are gaps. Heights are square roots, so
 * that what is usual can still be seen beside one burst. */
export function curve(history) {
	const most = history.most() || 1;
	let line = '';
	let area = '';
	let open = false;
	for (let age = SAMPLES - 1; age >= 0; age--) {
		const value = history.at(age);
		if (Number.isNaN(value)) {
			area += open ? `V${HEIGHT}Z` : '';
			open = false;
			continue;
		}
		const x = WIDTH - age * (WIDTH / (SAMPLES - 1));
		const y = HEIGHT - 1 - Math.sqrt(value / most) * (HEIGHT - 3);
		const point = `${x.toFixed(1)} ${y.toFixed(1)}`;
		line += `${open ? 'L' : 'M'}${point}`;
		area += open ? `L${point}` : `M${x.toFixed(1)} ${HEIGHT}L${point}`;
		open = true;
	}
	return [line, open ? `${area}V${HEIGHT}Z` : area];
}

export function sparkline() {
	return svg('svg', { class: 'spark', viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
		preserveAspectRatio: 'none', 'aria-hidden': 'true', focusable: 'false' },
	svg('path', { class: 'area' }), svg('path', { class: 'line' }));
}

export function draw(spark, history) {
	const [line, area] = curve(history);
	put_attribute(spark.lastChild, 'd', line);
	put_attribute(spark.firstChild, 'd', area);
}
