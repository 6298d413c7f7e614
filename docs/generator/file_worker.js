// Browsers start no worker from a page that lies on the disk (file:), and the site's search is one.
// Here, the worker's script runs in a hidden frame instead, with the messages of a worker. Served
// over HTTP, nothing is changed.
(() => {
  if (location.protocol !== "file:") return;
  const send = window.postMessage;  // the frame replaces its own

  const inFrame = `
    self.postMessage = (message) => parent.postMessage(message, "*");
    self.importScripts = (...urls) => urls.reduce((before, url) => before.then(() =>
      new Promise((done, failed) => {
        const script = document.createElement("script");
        Object.assign(script, { src: url, onload: done, onerror: failed });
        document.head.append(script);
      })), Promise.resolve());`;

  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      const script = new URL(url, location.href).href.replaceAll('"', "%22");
      this.frame.srcdoc = `<script>${inFrame}</scr` + `ipt><script src="${script}"></scr` + `ipt>`;
      this.ready = new Promise((done) => { this.frame.onload = done; });
      addEventListener("message", this.receive = (event) => {
        if (event.source !== this.frame.contentWindow) return;
        const copy = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(copy);
        if (this.onmessage) this.onmessage(copy);
      });
      const attach = () => document.body.append(this.frame);
      if (document.body) attach(); else addEventListener("DOMContentLoaded", attach);
    }

    postMessage(message) {
      this.ready.then(() => send.call(this.frame.contentWindow, message, "*"));
    }

    terminate() {
      removeEventListener("message", this.receive);
      this.frame.remove();
    }
  };
})();
