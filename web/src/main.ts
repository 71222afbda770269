/**
 * Where the page begins.
 *
 * Owns: putting the app into index.html. Does not know: what is in it.
 */
import { mount } from "svelte";
import App from "./App.svelte";
import { appearance } from "./ui/appearance.svelte";
import "./styles/page.css";

const target = document.getElementById("app");
if (target === null) throw new Error("index.html has no #app");
appearance.load();
mount(App, { target });
