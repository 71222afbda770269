/**
 * Where the page begins.
 *
 * Owns: putting the app into index.html. Does not know: what is in it.
 */
import { mount } from "svelte";
import App from "./App.svelte";
import { settings } from "./ui/settings.svelte";
import "./styles/page.css";

const target = document.getElementById("app");
if (target === null) throw new Error("index.html has no #app");
settings.load();
mount(App, { target });
// After the page, which does not wait for it. Without it the page works as well, as long as there is a network.
void import("./offline/register").then(({ register }) => register(document.baseURI)).catch(() => undefined);
