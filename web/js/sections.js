// The sections of the page, a row each: what a daemon has, it shows. A new one is a module and a
// row here (checks, honeypot, scans, casts come this way).
//
// id      its place in the page, and its title: `section.ID` in the dictionary
// key     the letter that goes there, after g
// side    the column of a wide screen
// when    whether the daemon has it, by its status
// make    builds it: ({show_connections, show_events, announce}) → section (section.js)

import { connections } from './connections.js';
import { files } from './files.js';
import { log } from './log.js';
import { roles } from './roles.js';
import { services } from './services.js';

export const SECTIONS = [
	{ id: 'services', key: 's', side: 'a', when: () => true, make: services },
	{ id: 'files', key: 'f', side: 'a', when: (status) => Boolean(status.collect), make: files },
	{ id: 'connections', key: 'c', side: 'a', when: () => true, make: connections },
	{ id: 'roles', key: 'r', side: 'b', when: (status) => Boolean(status.role), make: roles },
	{ id: 'log', key: 'l', side: 'b', when: () => true, make: log },
];
