/** Where tests of effects run: modules are compiled as for a browser, and there is no document. */

export default {
  name: "effects",
  viteEnvironment: "client",
  setup: () => ({ teardown: () => undefined }),
};
