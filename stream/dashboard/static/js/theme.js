// Light or dark: the system's choice until the user makes one.

const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");

export const isDark = () => (root.style.colorScheme || (system.matches ? "dark" : "light")) === "dark";

export function startTheme(store) {
  const tell = () => {
    root.dataset.theme = isDark() ? "dark" : "light";
    store.set({ theme: root.dataset.theme });
  };
  const toggle = () => {
    root.style.colorScheme = isDark() ? "light" : "dark";
    localStorage.setItem("theme", root.style.colorScheme);
    tell();
  };
  document.getElementById("theme").addEventListener("click", toggle);
  system.addEventListener("change", tell);
  tell();
  return toggle;
}
