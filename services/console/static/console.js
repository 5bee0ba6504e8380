// Dialogs and small comforts. Every page works without this file: links lead to pages, and forms send themselves.
(function () {
  "use strict";
  var dialog = document.getElementById("dialog");
  var opener = null;

  document.addEventListener("click", function (event) {
    var link = event.target.closest("a[data-dialog]");
    if (link && dialog && dialog.showModal && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
      event.preventDefault();
      opener = link;
      htmx.ajax("GET", link.getAttribute("href"), { target: "#dialog-content", swap: "innerHTML" });
      return;
    }
    var close = event.target.closest("[data-close]");
    if (close && dialog && dialog.open) {
      event.preventDefault();
      dialog.close();
    } else if (event.target === dialog) {
      dialog.close();
    }
    var copy = event.target.closest("[data-copy]");
    if (copy && navigator.clipboard) {
      navigator.clipboard.writeText(copy.getAttribute("data-copy"));
    }
  });

  document.addEventListener("htmx:afterSwap", function (event) {
    if (event.detail.target.id !== "dialog-content") {
      return;
    }
    if (!dialog.open) {
      dialog.showModal();
    }
    dialog.setAttribute("aria-labelledby", "dialog-title");
    var first = dialog.querySelector("[aria-invalid], [autofocus], #dialog-title");
    if (first) {
      first.focus();
      if (first.select) {
        first.select();
      }
    }
  });

  if (dialog) {
    dialog.addEventListener("close", function () {
      document.getElementById("dialog-content").replaceChildren();
      if (opener && document.contains(opener)) {
        opener.focus();
      }
    });
  }

  // A part that is replaced while somebody uses it keeps the focus on the same control.
  var focused = null;
  document.addEventListener("htmx:beforeSwap", function () {
    focused = document.activeElement && document.activeElement.id;
  });
  document.addEventListener("htmx:afterSettle", function () {
    if (focused && document.activeElement === document.body) {
      var same = document.getElementById(focused);
      if (same) {
        same.focus();
      }
    }
  });

  // A box that checks all boxes of its table.
  document.querySelectorAll("[data-check-all]").forEach(function (all) {
    all.hidden = false;
    all.addEventListener("change", function () {
      all.closest("table").querySelectorAll("input[name='" + all.dataset.checkAll + "']").forEach(function (box) {
        box.checked = all.checked;
      });
    });
  });

  // A form that was sent is not sent again by a second click.
  document.addEventListener("submit", function (event) {
    if (event.target.dataset.sent) {
      event.preventDefault();
    } else if (event.target.method === "post" && !event.target.hasAttribute("hx-post")) {
      event.target.dataset.sent = "yes";
    }
  });
  window.addEventListener("pageshow", function () {
    document.querySelectorAll("form[data-sent]").forEach(function (form) {
      delete form.dataset.sent;
    });
  });
})();
