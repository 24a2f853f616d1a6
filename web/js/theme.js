// Dark or light, before the first paint: what was chosen here, else what the system prefers.
// A classic script, so that it runs while the head is read.
(() => {
	const system = matchMedia('(prefers-color-scheme: dark)');
	const chosen = () => {
		try {
			return localStorage.getItem('prise.theme');
		} catch {
			return null;
		}
	};
	const apply = () => {
		document.documentElement.dataset.theme = chosen() || (system.matches ? 'dark' : 'light');
	};
	system.addEventListener('change', apply);
	apply();
})();
