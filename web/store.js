// What this browser remembers between visits: who one is and which rooms one has been to.

const ROOMS_MAX = 12;

/** A browser may forbid storage altogether; then the page works, and forgets. */
export const kept = (() => {
	try {
		return localStorage;
	} catch {
		return null;
	}
})();

function read(key, otherwise) {
	try {
		return JSON.parse(kept.getItem(key)) ?? otherwise;
	} catch {
		return otherwise;
	}
}

function write(key, value) {
	try {
		kept.setItem(key, JSON.stringify(value));
	} catch {
		// Full: then it is forgotten.
	}
}

export const me = () => read('tertulia.me', {});
export const remember = (person) => write('tertulia.me', person);
export const rooms = () => read('tertulia.rooms', []);
export const visited = (room) => write('tertulia.rooms', [...new Set([room, ...rooms()])].slice(0, ROOMS_MAX));
