// Server-sent events over fetch: as EventSource reads them, but the page sees the status of the
// answer (401 is a login, not a retry), says itself where to go on (Last-Event-ID), and decides
// itself when to try again.

const LINE_LIMIT = 1 << 20; // characters; a longer line is no event of ours

/** A parser (the HTML standard, "interpreting an event stream"): feed it text cut anywhere; it
 * calls on_event({name, id, data}) for each event. `id` is undefined where none was sent. */
export function sse_parser(on_event) {
	let rest = '';
	let skip_lf = false;
	let name, id, data;

	const reset = () => {
		name = '';
		id = undefined;
		data = [];
	};

	const line = (text) => {
		if (text === '') {
			if (data.length > 0)
				on_event({ name: name || 'message', id, data: data.join('\n') });
			reset();
			return;
		}
		const colon = text.indexOf(':');
		const field = colon < 0 ? text : text.slice(0, colon);
		const value = colon < 0 ? '' : text.slice(colon + (text[colon + 1] === ' ' ? 2 : 1));
		if (field === 'data')
			data.push(value);
		else if (field === 'event')
			name = value;
		else if (field === 'id' && !value.includes('\0'))
			id = value;
	};

	reset();
	return (text) => {
		if (skip_lf && text[0] === '\n')
			text = text.slice(1);
		skip_lf = text.endsWith('\r');
		const lines = (rest + text).split(/\r\n|\r|\n/);
		rest = lines.pop();
		if (rest.length > LINE_LIMIT)
			throw new RangeError('a line without end');
		lines.forEach(line);
	};
}

/** Reads the stream until it ends or `signal` aborts. on_open(response) is called once it stands;
 * an answer other than 200 throws an Error with its `status`. */
export async function read_stream(url, last_id, { on_open, on_event, signal }) {
	const headers = { Accept: 'text/event-stream' };
	if (last_id !== undefined)
		headers['Last-Event-ID'] = String(last_id);
	const response = await fetch(url, { headers, signal, cache: 'no-store' });
	if (!response.ok)
		throw Object.assign(new Error(`stream: ${response.status}`), { status: response.status });
	on_open(response);
	const reader = response.body.getReader();
	const decoder = new TextDecoder();
	const feed = sse_parser(on_event);
	for (;;) {
		const { done, value } = await reader.read();
		if (done)
			return;
		feed(decoder.decode(value, { stream: true }));
	}
}
